"""Quantities as people write them: 90%, 5m, 60x200, miss=10,false-alarm=1. Each raises ValueError with a message."""

from __future__ import annotations

import re


def read_share(text: str) -> float:
    """Read '0.9', '0,9' or '90%' as a share between 0 and 1."""
    match = re.fullmatch(r"(\d+(?:[.,]\d*)?|[.,]\d+)\s*(%?)", text.strip())
    value = float(match[1].replace(",", ".")) / (100 if match[2] else 1) if match else -1.0
    if not 0 < value < 1:
        raise ValueError(f"{text!r} is not a share between 0 and 1; write 0.9 or 90%")
    return value


def read_costs(text: str) -> dict[str, float]:
    """Read 'miss=10,false-alarm=1'."""
    found = dict(re.findall(r"(miss|false-alarm)=(\d+(?:\.\d+)?)", text))
    if len(found) != 2 or not re.fullmatch(r"[a-z-]+=[\d.]+,[a-z-]+=[\d.]+", text.replace(" ", "")):
        raise ValueError(f"{text!r} is not a pair of costs; write miss=10,false-alarm=1")
    return {name.replace("-", "_"): float(value) for name, value in found.items()}


def read_size(text: str) -> tuple[int, int]:
    """Read '64' or '60x200' as (height, width)."""
    match = re.fullmatch(r"(\d+)(?:[x×](\d+))?", text)
    if not match or not all(1 <= int(side) <= 4096 for side in match.groups() if side):
        raise ValueError(f"{text!r} is not a size; write 64, or 60x200 (height first)")
    return int(match[1]), int(match[2] or match[1])


def read_interval(text: str) -> float:
    """Read '0.5', '0,5s', '200ms', '2s' or '1m' as seconds between frames."""
    match = re.fullmatch(r"(\d+(?:[.,]\d+)?)(ms|s|m|h|)", text.strip())
    unit = {"ms": 0.001, "m": 60, "h": 3600}.get(match[2], 1) if match else 1
    value = float(match[1].replace(",", ".")) * unit if match else 0.0
    if not 0.01 <= value <= 86_400:
        raise ValueError(f"{text!r} is not a time between frames; write 1s, 0.5s or 1m, from 0.01 s to a day")
    return value


def read_age(text: str) -> float:
    """Read '12h', '30d', '4w', 'day', 'week' or 'hour' as seconds."""
    match = re.fullmatch(r"(\d+)([hdw])", {"hour": "1h", "day": "1d", "week": "1w"}.get(text.strip(), text.strip()))
    value = float(match[1]) * {"h": 3600, "d": 86_400, "w": 604_800}[match[2]] if match else 0.0
    if not 3600 <= value <= 1e10:
        raise ValueError(f"{text!r} is not a stretch of time; write day, 12h, 30d or 4w")
    return value


def read_seconds(text: str) -> float:
    """Read '90', '90s', '5m' or '1h30m' as seconds."""
    match = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?", text)
    total = (
        sum(float(part or 0) * unit for part, unit in zip(match.groups(), (3600, 60, 1), strict=True)) if match else 0
    )
    if not 1 <= total <= 1e7:
        raise ValueError(f"{text!r} is not a time of at least one second; write 90s, 5m or 1h30m")
    return total
