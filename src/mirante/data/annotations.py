"""Labels of whole images in the JSON files of annotation programs: COCO, and Label Studio's own (JSON and JSON-MIN)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from mirante.data.several import join, require_writable
from mirante.errors import DataError

_UPLOADED = re.compile(r"^[0-9a-f]{8}-(?=.)")
"""What Label Studio puts before the name of an uploaded file."""

_USUAL_QUESTIONS = ("choice", "choices", "taxonomy", "label", "labels", "class", "tag", "tags")
"""What the question is called in JSON-MIN, the first that is there counting; else the only one that it can be."""

_OF_PROGRAM = frozenset(
    "id annotator annotation_id created_at updated_at lead_time predictions agreement image img url captioning ocr".split()
)
"""What else Label Studio writes beside an answer in JSON-MIN."""

_ASKED = ("choices", "taxonomy")
"""The kinds of Label Studio's questions about whole images."""

_IMAGE_KEYS = ("image", "img", "url", "captioning", "ocr")
"""Under which Label Studio's templates keep the address of an image."""

Named = dict[str, tuple[list[str], list[str]]]
"""Path → the labels that an image has, and those of which it is not known."""


def read_annotations(name: str, content: bytes, several: bool) -> list[list[str]]:
    """Return an annotation file as a table of path and label, the header first.

    several  one row per image, its labels in one cell; else one row per label, and none for an image without one

    Raises DataError when it is neither COCO nor Label Studio's, or has no labels of whole images.
    """
    try:
        held = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{name}: not JSON, or damaged.") from error
    try:
        if isinstance(held, dict) and isinstance(held.get("images"), list):
            found = _read_coco(name, held)
        elif isinstance(held, list) and held and all(isinstance(one, dict) for one in held):
            found = _read_label_studio(name, held)
        else:
            raise TypeError
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DataError(
            f"{name}: not an annotation file that is read: COCO (images, annotations, categories) or Label Studio's JSON or JSON-MIN. "
            "Lines of JSON end in .jsonl."
        ) from error
    if not any(yes for yes, _ in found.values()):
        raise DataError(f"{name}: no image in it has a label of the whole image.")
    for label in {label for yes, not_known in found.values() for label in (*yes, *not_known)}:
        require_writable(name, label)
    if several:
        return [["path", "label"], *([path, join(*labels)] for path, labels in found.items())]
    return [["path", "label"], *([path, label] for path, labels in found.items() for label in labels[0])]


def _read_coco(name: str, held: Mapping[str, Any]) -> Named:
    """An image has the categories of its annotations, be they of the whole image or of things in it."""
    categories = {one["id"]: str(one["name"]).strip() for one in held["categories"]}
    paths = {one["id"]: str(one["file_name"]) for one in held["images"]}
    for kind, known in (("categories", categories), ("images", paths)):
        if len(known) < len(held[kind]):
            raise DataError(
                f"{name}: two of its {kind} have the same id, so that annotations may be of either; give each its own."
            )
    found: Named = {path: ([], []) for path in paths.values()}
    for one in held["annotations"]:
        if one["image_id"] not in paths or one["category_id"] not in categories:
            raise DataError(
                f"{name}: an annotation is of image {one['image_id']} and category {one['category_id']}, and one of the two is not "
                "listed in it."
            )
        yes = found[paths[one["image_id"]]][0]
        if categories[one["category_id"]] not in yes:
            yes.append(categories[one["category_id"]])
    return found


def _read_label_studio(name: str, tasks: list[dict[str, Any]]) -> Named:
    """What all persons chose is so; what only some of them chose is not known. Tasks without an answer are left out.

    With several questions, a label is `question/choice`.
    """
    found: Named = {}
    questions = {
        one.get("from_name")
        for task in tasks
        for answer in task.get("annotations") or task.get("completions") or []
        for one in answer["result"]
        if one.get("type") in _ASKED
    }
    question = _question_of(name, tasks)
    for task in tasks:
        data = task.get("data", task)
        told = (data[key] for key in _IMAGE_KEYS if isinstance(data.get(key), str))
        path = next((_path(text) for text in told), None)
        if path is None:
            raise DataError(f"{name}: a task of Label Studio names no image.")
        if "annotations" in task or "completions" in task:
            given = task.get("annotations") or task.get("completions") or []
            kept = [one for one in given if not one.get("was_cancelled") and not one.get("skipped")]
            answers = [list(_chosen(one["result"], len(questions) > 1)) for one in kept]
        else:  # JSON-MIN holds one answer per row, under the name of the question
            answers = [list(_chosen_min(task, question))]
        if not answers:
            continue
        if path in found:
            answers.append([*found[path][0], *found[path][1]])
        said = list(dict.fromkeys(label for one in answers for label in one))
        yes = [
            label
            for label in said
            if all(label in one for one in answers) and label not in found.get(path, ([], []))[1]
        ]
        found[path] = yes, [label for label in said if label not in yes]
    return found


def _chosen(result: list[dict[str, Any]], several: bool) -> Iterator[str]:
    """Yield the labels of an answer; with several questions, each below its name: `weather/sunny`."""
    for one in result:
        if one.get("type") in _ASKED:
            for label in _labels(one["value"][one["type"]]):
                yield f"{one.get('from_name')}/{label}" if several else label


def _question_of(name: str, tasks: list[dict[str, Any]]) -> str | None:
    """Return the name of the question in JSON-MIN, which is what the user called it; None where no task is of that form.

    Raises DataError when it cannot be told from the data of the tasks.
    """
    rows = [one for one in tasks if "annotations" not in one and "completions" not in one]
    keys = {key for row in rows for key, value in row.items() if key not in _OF_PROGRAM and not _is_number(value)}
    for usual in _USUAL_QUESTIONS:
        if usual in keys:
            return usual
    if len(keys) > 1:
        sure = {key for key in keys if any(isinstance(row.get(key), (dict, list)) for row in rows)}
        keys = sure if len(sure) == 1 else keys
    if len(keys) > 1:
        raise DataError(
            f"{name}: its answers may be in {' or '.join(map(repr, sorted(keys)[:4]))}; export it as JSON, not JSON-MIN, or call the "
            "question 'choice'."
        )
    return next(iter(keys), None)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) or value is None


def _chosen_min(row: Mapping[str, Any], question: str | None) -> Iterator[str]:
    value = row.get(question or "", [])
    if isinstance(value, Mapping):  # several choices
        value = value.get("choices", [])
    yield from _labels([value] if isinstance(value, str) else value if isinstance(value, list) else [])


def _labels(values: list[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, list):  # of a taxonomy: from the top to the leaf
            yield "/".join(str(part).strip() for part in value)
        elif isinstance(value, str):
            yield value.strip()


def without_upload_code(name: str) -> str:
    """Return a file name without the eight hexadecimal digits that Label Studio puts before the name of an uploaded file.

    >>> without_upload_code("0f1e2d3c-owl.jpg"), without_upload_code("owl.jpg")
    ('owl.jpg', 'owl.jpg')
    """
    return _UPLOADED.sub("", name, count=1)


def _path(text: str) -> str:
    """Return the path of an image that Label Studio serves: of one in local storage its own, of an upload its name.

    >>> _path("/data/local-files/?d=photos/1.jpg"), _path("/data/upload/3/0f1e2d3c-owl%201.jpg"), _path("s3://bucket/a/1.jpg")
    ('photos/1.jpg', 'owl 1.jpg', 'a/1.jpg')
    """
    parts = urlsplit(text)
    if parts.path.endswith("/local-files/"):
        return parse_qs(parts.query)["d"][0].lstrip("/")
    path = unquote(parts.path).lstrip("/") if parts.scheme else text
    if re.match(r"/?data/upload/|/?upload/", path):
        return without_upload_code((path if parts.scheme else unquote(path)).rpartition("/")[2])
    return path
