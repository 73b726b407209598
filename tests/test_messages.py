"""The program speaks the user's language: each message of the source has its Portuguese, and a verb leaves no English behind."""

from __future__ import annotations

import argparse
import ast
import logging
import re
import string
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Command
from hypothesis import given
from hypothesis import strategies as st

from mirante.cli import make_parser
from mirante.locale import language
from mirante.locale.messages import Formatter, _catalogue, help_in, message_in

SOURCE = Path(__file__).parents[1] / "src" / "mirante"
OTHERS = {
    "ValueError",
    "TypeError",
    "KeyError",
    "AssertionError",
    "OSError",
    "AttributeError",
    "NotImplementedError",
    "EOFError",
    "IndexError",
}
ENGLISH = re.compile(r"\b(the|of|and|is|are|not|with|for|from|image|images|that|it|must|cannot|folder|choose|give)\b")


def templates(node: ast.expr) -> list[str]:
    """Return what an expression may say, with {} for each value."""
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.JoinedStr():
            return ["".join(one.value if isinstance(one, ast.Constant) else "{}" for one in node.values)]
        case ast.IfExp():
            return templates(node.body) + templates(node.orelse)
        case ast.BinOp(op=ast.Add()):
            return [one + other for one in templates(node.left) for other in templates(node.right)]
    return []


def raised_or_logged() -> Iterator[tuple[str, str]]:
    """Yield each message of the source, and where it stands."""
    for file in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            raised = (name.endswith("Error") or name == "NothingLabelled") and name not in OTHERS
            logged = name in ("tell", "refuse", "in_words") or (
                name in ("info", "warning") and "log" in ast.unparse(node.func)
            )
            if raised or logged or name == "track":
                for text in templates(node.args[1 if name == "track" else 0]):
                    yield text, f"{file.relative_to(SOURCE)}:{node.lineno}"


def _texts() -> list[str]:
    content = tomllib.loads((SOURCE / "locale" / "messages_pt_BR.toml").read_text(encoding="utf-8"))
    return [*content["messages"], *language("pt").texts]


ALIKE = {"{}: {}.", "{}: {}: {}.", "{}: {}", "{}  →  {}", "{}\n  {}\n  {}{}", "{}.", "{}: image {} of {}."}
"""What consists of values and signs alone; and an error of Python's own kind."""


def test_every_message_of_the_source_has_its_portuguese() -> None:
    known = {text for one in _texts() for text in (one, re.sub(r"\{\w*\}", "{}", one))}
    missing = [
        f"{where}: {text}"
        for text, where in raised_or_logged()
        if text not in ALIKE
        and text not in known
        and text.rstrip(".") not in known
        and text.partition(": ")[2] not in known
        and text.partition(": ")[2].rstrip(".") not in known
    ]
    assert missing == []


def helps(parser: argparse.ArgumentParser) -> Iterator[str]:
    yield parser.description or ""
    for action in parser._actions:
        if action.help not in (None, argparse.SUPPRESS):
            yield str(action.help)
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from helps(child)


def test_every_help_text_has_its_portuguese() -> None:
    missing = [text for text in helps(make_parser()) if help_in("pt", text) == text]
    assert [text for text in missing if "identity, edge, sharpen" not in text] == []


@given(st.data())
def test_values_of_a_message_survive_its_translation(data: st.DataObject) -> None:
    pattern = data.draw(st.sampled_from(_catalogue("pt")[1]))
    letters = st.text(string.ascii_uppercase + string.digits + "/_-", min_size=1, max_size=12)
    named: dict[str, str] = {}  # a name that stands twice in a message has one value
    values = [named.setdefault(name, data.draw(letters)) if name else data.draw(letters) for name in pattern.names]
    message = pattern.parts[0] + "".join(value + part for value, part in zip(values, pattern.parts[1:], strict=True))
    told = message_in("pt", message)
    assert all(value in told for value in values)


def test_a_message_within_a_message_is_translated_and_a_name_is_not() -> None:
    assert message_in("pt", "a/b.png: left out: the file is empty") == "a/b.png: deixado de fora: o arquivo está vazio"
    assert (
        message_in("pt", "runs/the file is empty: no such folder.") == "runs/the file is empty: não existe essa pasta."
    )
    assert (
        message_in("pt", "salt and pepper/not sure.png: the file is empty")
        == "salt and pepper/not sure.png: o arquivo está vazio"
    )
    assert message_in("pt", "digits: 1,797 images of 10 classes (1,371 train, 144 val), shown at 32×32×1").startswith(
        "digits: 1.797 imagens de 10 classes (1.371 train, 144 val)"
    )
    assert message_in("pt", "something that Mirante never says") == "something that Mirante never says"
    assert message_in("en", "the file is empty") == "the file is empty"


REFUSED = (
    ("train", "nowhere"),
    ("train",),
    ("train", "digits", "--task", "nothing"),
    ("train", "digits", "--epochs", "2", "--time", "5s"),
    ("predict", "nowhere", "x.png"),
    ("predict", "{run}", "nowhere"),
    ("evaluate", "nowhere"),
    ("compare", "nowhere"),
    ("summary", "32C3-nothing"),
    ("data", "info", "nowhere"),
    ("data", "get", "nothing"),
    ("see", "convolve", "--kernel", "1 2; 3"),
    ("see", "heatmap", "nowhere"),
    ("photos", "organise", "{run}", "nowhere", "--into", "there"),
    ("photos", "group", "nowhere"),
    ("photos", "undo", "nowhere"),
    ("export", "{run}", "--to", "nothing"),
    ("serve", "nowhere"),
    ("studio", "nowhere"),
    ("tune", "nowhere"),
    ("demo", "--out", "{run}"),
    ("nothing",),
    ("photos",),
    ("predict", "{run}", "{digits}", "--coverage", "120%"),
    ("train", "{digits}", "--size", "3x"),
    ("train", "{digits}", "--cost", "miss=1"),
)


@pytest.mark.parametrize("words", REFUSED, ids=" ".join)
def test_what_is_refused_is_said_in_portuguese(
    words: tuple[str, ...], shapes_run: tuple[Path, Path], tmp_path: Path, mirante: Command
) -> None:
    run, data = shapes_run
    asked = [word.format(run=run, digits=data) for word in words]
    done = mirante(*asked, cwd=tmp_path, LC_ALL="pt_BR.UTF-8")
    assert done.returncode in (1, 2)
    told = re.sub(r"(?:`[^`]*`|'[^']*'|\S*/\S*)", "", done.stderr)  # commands, names and paths are no sentences
    assert not ENGLISH.search(told), told
    assert "Traceback" not in told


WORKS = (
    ("data", "info", "{data}"),
    ("data", "check", "{data}", "--out", "checked"),
    ("predict", "{run}", "{broken}"),
    ("evaluate", "{run}"),
    ("compare", "{run}"),
    ("summary", "32C3-MP2-64N"),
    ("see", "pixels", "--out", "pixels.png"),
    ("photos", "group", "{broken}"),
    ("photos", "organise", "{run}", "{broken}", "--into", "there"),
    ("export", "{run}", "--to", "onnx", "--out", "exported"),
    ("train", "{data}", "--recipe", "tutorial", "--epochs", "1", "--out", "runs/new"),
    ("tune", "{data}", "--trials", "1", "--epochs", "1", "--out", "tuned"),
)


@pytest.mark.parametrize("words", WORKS, ids=lambda words: " ".join(words[:2]))
def test_what_a_verb_prints_is_portuguese(
    words: tuple[str, ...], shapes_run: tuple[Path, Path], tmp_path: Path, mirante: Command
) -> None:
    run, data = shapes_run
    broken = tmp_path / "photos"
    broken.mkdir()
    for number, file in enumerate(sorted((data / "bar").glob("*.png"))[:3]):
        (broken / f"{number}.png").write_bytes(file.read_bytes())
    (broken / "empty.png").write_bytes(b"")
    asked = [word.format(run=run, data=data, broken=broken) for word in words]
    done = mirante(*asked, "--lang", "pt", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = re.sub(r"(?:`[^`]*`|'[^']*'|\S*/\S*)", "", done.stdout + done.stderr)
    told = re.sub(r"\b(class|image|images|mirante \w+)\b", "", told)  # field names and commands
    assert not ENGLISH.search(told), told


@pytest.mark.parametrize("lang", ["en", "pt"])
def test_help_is_in_the_language_that_is_asked_for(lang: str, mirante: Command) -> None:
    done = mirante("train", "--help", "--lang", lang, COLUMNS="100")
    assert done.returncode == 0
    assert done.stdout.startswith({"en": "usage: ", "pt": "uso: "}[lang])
    assert (" the " in done.stdout) is (lang == "en") and (" imagens " in done.stdout) is (lang == "pt")


def test_progress_is_told_in_the_language_of_the_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    from mirante.progress import in_words

    handler = logging.StreamHandler()
    handler.setFormatter(Formatter("pt"))
    monkeypatch.setattr(logging.getLogger("mirante"), "handlers", [])
    assert in_words("Decoding images") == "Decoding images"
    monkeypatch.setattr(logging.getLogger("mirante"), "handlers", [handler])
    assert in_words("Decoding images") == "Decodificando as imagens"
    line = "epoch  1/10   50%  1,234 images/s  loss 1.234  accuracy 50.0%  0:30 left"
    assert in_words(line).startswith("época  1/10   50%  1.234 imagens/s  perda 1.234")
