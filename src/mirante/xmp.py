"""XMP: the keywords of a photo, in a sidecar beside it or in its file, as digiKam, darktable, Lightroom, Immich and PhotoPrism do.

Keywords are in dc:subject, and as a hierarchy in lr:hierarchicalSubject and digiKam:TagsList. When one is written, everything else
in a sidecar is kept (Adobe, XMP specification part 1, ISO 16684-1). Photos of older programs hold keywords as IPTC instead (IIM
dataset 2:25).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from PIL import Image, IptcImagePlugin

from mirante.errors import ImageError
from mirante.formats import open_image

_X, _RDF, _DC = "adobe:ns:meta/", "http://www.w3.org/1999/02/22-rdf-syntax-ns#", "http://purl.org/dc/elements/1.1/"
_LR, _DIGIKAM = "http://ns.adobe.com/lightroom/1.0/", "http://www.digikam.org/ns/1.0/"
_OURS = "urn:mirante:photos/1.0/"
_ROOT = "Mirante"
_PROGRAMS = frozenset({_ROOT, "darktable", "_Digikam_Internal_Tags_", "_Digikam_root_tag_"})
"""The first parts of hierarchies that programs keep for themselves."""
_IPTC_UTF8 = b"\x1b%G"
_MOST_BYTES = 16 << 20
_KNOWN = {"x": _X, "rdf": _RDF, "dc": _DC, "lr": _LR, "digiKam": _DIGIKAM, "mirante": _OURS}
_BEGIN = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
_END = '\n<?xpacket end="w"?>\n'


def sidecar_of(photo: Path) -> Path | None:
    """Return a photo's existing sidecar, IMG.jpg.xmp or IMG.xmp, in upper or lower case; None when there is none."""
    names = [photo.name + ".xmp", photo.name + ".XMP", photo.stem + ".xmp", photo.stem + ".XMP"]
    return next((photo.with_name(name) for name in names if photo.with_name(name).is_file()), None)


def keywords(content: bytes) -> list[str]:
    """Return the keywords of a sidecar, hierarchical ones by their last part, without what Mirante itself guessed.

    Raises ImageError when it is not XMP.
    """
    flat, nested = _read(content)
    return list(dict.fromkeys([*flat, *(parts[-1] for parts in nested)]))


def keyword_paths(content: bytes) -> list[str]:
    """Return the keywords of XMP, hierarchical ones as `animal/bird/owl`, without what Mirante itself guessed.

    A word that is a part of a hierarchical one is not repeated. Raises ImageError when it is not XMP.
    """
    flat, nested = _read(content)
    known = {part for parts in nested for part in parts}
    return list(dict.fromkeys(["/".join(parts) for parts in nested] + [word for word in flat if word not in known]))


def _read(content: bytes) -> tuple[list[str], list[list[str]]]:
    """Return the plain keywords of XMP, and the parts of the hierarchical ones."""
    flat: list[str] = []
    nested: list[list[str]] = []
    guessed: set[str] = set()
    for description in _descriptions(_parsed(content)):
        guessed |= _guessed(description)
        for name, separator in (
            (f"{{{_DC}}}subject", "|"),
            (f"{{{_LR}}}hierarchicalSubject", "|"),
            (f"{{{_DIGIKAM}}}TagsList", "/"),
        ):
            for item in description.iterfind(f"{name}/*/{{{_RDF}}}li"):
                parts = [part.strip() for part in (item.text or "").split(separator) if part.strip()]
                if len(parts) == 1 and name == f"{{{_DC}}}subject":
                    flat += parts
                elif parts and parts[0] not in _PROGRAMS:
                    nested.append(parts)
    return [word for word in flat if word not in guessed], [parts for parts in nested if parts[-1] not in guessed]


def embedded_keywords(photo: bytes) -> list[str]:
    """Return the keywords inside a photo's own file, as `keyword_paths`; none where its format or its program keeps none.

    Raises ImageError for a file that is not an image, or XMP that cannot be read.
    """
    with open_image(photo) as image:
        packet = next((image.info[key] for key in ("xmp", "XML:com.adobe.xmp") if key in image.info), None)
        if packet:
            content = packet.encode("utf-8") if isinstance(packet, str) else bytes(packet)
            try:
                found = keyword_paths(content.strip(b"\x00"))
            except ImageError as error:
                raise ImageError("XMP inside it that cannot be read") from error
            if found:
                return found
        return _iptc_keywords(image)


def _iptc_keywords(image: Image.Image) -> list[str]:
    try:
        records = IptcImagePlugin.getiptcinfo(image) or {}  # type: ignore[arg-type]
    except (OSError, SyntaxError, ValueError, KeyError, IndexError):  # damaged records say nothing
        return []
    held = records.get((2, 25), [])
    unicode = records.get((1, 90)) == _IPTC_UTF8
    words = []
    for one in held if isinstance(held, list) else [held]:
        try:
            words.append(one.decode("utf-8"))
        except UnicodeDecodeError:
            words.append(one.decode("utf-8" if unicode else "cp1252", "replace"))
    return list(dict.fromkeys(word.strip() for word in words if word.strip()))


def with_class(content: bytes | None, label: str, confidence: float) -> bytes:
    """Return a sidecar's content with the class and its confidence (0 to 1) in it, replacing what Mirante wrote before.

    content  what the sidecar holds; None for a new one. Raises ImageError when that is not XMP.
    """
    band = min(9, int(confidence * 10)) * 10
    below = (label, f"{band}-{band + 10}%")
    return _with_words(
        content, [label], [f"|{one}" for one in below], [f"/{one}" for one in below], f"{confidence:.4f}"
    )


def with_labels(content: bytes | None, labels: Sequence[tuple[str, float]]) -> bytes:
    """Return a sidecar's content with labels and their probabilities in it, replacing what Mirante wrote before; see `with_class`.

    A label such as `animal/bird` becomes a hierarchical keyword.
    """
    words = [label.rpartition("/")[2] for label, _ in labels]
    nested = [f"/{label}" for label, _ in labels]
    shares = "|".join(f"{share:.4f}" for _, share in labels)
    return _with_words(content, words, [one.replace("/", "|") for one in nested], nested, shares)


def _with_words(
    content: bytes | None, words: Sequence[str], lightroom: Sequence[str], digikam: Sequence[str], confidence: str
) -> bytes:
    """Return a sidecar's content with keywords, and with hierarchical ones below Mirante's own."""
    root = _parsed(content) if content else _new()
    description = _description(root)
    before = _guessed(description)
    new: list[str] = []
    for name, kind, added in (
        (f"{{{_DC}}}subject", "Bag", list(words)),
        (f"{{{_LR}}}hierarchicalSubject", "Bag", [_ROOT + one for one in lightroom]),
        (f"{{{_DIGIKAM}}}TagsList", "Seq", [_ROOT + one for one in digikam]),
    ):
        holder = description.find(name)
        if holder is None:
            holder = ET.SubElement(description, name)
        listed = holder.find("*")
        if listed is None:
            listed = ET.SubElement(holder, f"{{{_RDF}}}{kind}")
        for item in list(listed):
            text = item.text or ""
            if re.match(rf"{_ROOT}[|/]", text) or text in before:
                listed.remove(item)
        present = {item.text for item in listed}
        for word in dict.fromkeys(added):
            if word not in present:
                ET.SubElement(listed, f"{{{_RDF}}}li").text = word
                new.append(word)
    # what a person wrote stays a person's
    description.set(f"{{{_OURS}}}class", "|".join(word for word in dict.fromkeys(words) if word in new))
    description.set(f"{{{_OURS}}}confidence", confidence)
    ET.indent(root)
    return (_BEGIN + ET.tostring(root, encoding="unicode") + _END).encode("utf-8")


def _guessed(description: ET.Element) -> set[str]:
    """Return the words that Mirante wrote among the keywords."""
    told = description.get(f"{{{_OURS}}}class")
    return set() if told is None else {told, *told.split("|")}


def _parsed(content: bytes) -> ET.Element:
    if len(content) > _MOST_BYTES:
        raise ImageError(f"a sidecar of more than {_MOST_BYTES >> 20} MiB")
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise ImageError("a sidecar with a document type, which XMP does not allow")
    for prefix, address in {**_KNOWN, **_prefixes(content)}.items():
        if not re.fullmatch(r"(ns\d+|xml.*|)", prefix):
            ET.register_namespace(prefix, address)
    try:
        return ET.fromstring(content)
    except ET.ParseError as error:
        raise ImageError("a sidecar that is not XMP") from error


def _prefixes(content: bytes) -> dict[str, str]:
    """Return the prefixes that a sidecar gives its namespaces, so that they stay as they are."""
    found = re.findall(rb"""xmlns:([\w.-]+)\s*=\s*["']([^"']+)["']""", content)
    return {prefix.decode("ascii", "ignore"): address.decode("utf-8", "replace") for prefix, address in found}


def _description(root: ET.Element) -> ET.Element:
    """Return the first rdf:Description that has keywords, or else the first one; makes one where there is none."""
    all_of_them = _descriptions(root)
    for one in all_of_them:
        if one.find(f"{{{_DC}}}subject") is not None:
            return one
    if all_of_them:
        return all_of_them[0]
    return ET.SubElement(_rdf_of(root), f"{{{_RDF}}}Description", {f"{{{_RDF}}}about": ""})


def _descriptions(root: ET.Element) -> list[ET.Element]:
    return _rdf_of(root).findall(f"{{{_RDF}}}Description")


def _rdf_of(root: ET.Element) -> ET.Element:
    rdf = root if root.tag == f"{{{_RDF}}}RDF" else root.find(f"{{{_RDF}}}RDF")
    if rdf is None:
        raise ImageError("a sidecar that is not XMP")
    return rdf


def _new() -> ET.Element:
    for prefix, address in _KNOWN.items():
        ET.register_namespace(prefix, address)
    root = ET.Element(f"{{{_X}}}xmpmeta", {f"{{{_X}}}xmptk": "Mirante"})
    rdf = ET.SubElement(root, f"{{{_RDF}}}RDF")
    ET.SubElement(rdf, f"{{{_RDF}}}Description", {f"{{{_RDF}}}about": ""})
    return root
