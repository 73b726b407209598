"""What a server tells OpenTelemetry: nothing unless somebody has configured it, and then each request with its parts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_CODE = """
import asyncio, sys
from pathlib import Path
from mirante.serving.app import create_app
from mirante.serving.settings import Settings

if sys.argv[1] == "configured":
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    trace.set_tracer_provider(provider)
elif sys.argv[1] == "missing":
    sys.modules["opentelemetry"] = None

content = Path(sys.argv[3]).read_bytes()
parent = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
headers = [(b"content-type", b"image/png"), (b"content-length", str(len(content)).encode()), (b"traceparent", parent)]
scope = {"type": "http", "method": "POST", "path": "/v1/models/run/predict", "headers": headers, "query_string": b"",
         "http_version": "1.1", "scheme": "http", "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1), "root_path": ""}

async def ask():
    sent = []
    async def receive():
        return {"type": "http.request", "body": content, "more_body": False}
    async def send(message):
        sent.append(message)
    await create_app(Settings((sys.argv[2],)))(scope, receive, send)
    return sent[0]["status"]

print(asyncio.run(ask()))
if sys.argv[1] == "configured":
    for one in kept.get_finished_spans():
        print(one.name, hex(one.context.trace_id), dict(one.attributes))
print([name for name in sys.modules if name.startswith("opentelemetry.sdk") and sys.argv[1] != "configured"])
"""


def ask(how: str, shapes_run: tuple[Path, Path]) -> list[str]:
    command = [sys.executable, "-c", _CODE, how, str(shapes_run[0]), str(shapes_run[1] / "disc" / "000.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_request_is_told_with_its_parts_in_the_trace_that_it_names(shapes_run: tuple[Path, Path]) -> None:
    status, decode, network, predict, _ = ask("configured", shapes_run)
    assert status == "200"
    assert decode.startswith("decode ") and network.startswith("network ") and predict.startswith("predict ")
    assert all("0xaf7651916cd43dd8448eb211c80319c" in line for line in (decode, network, predict))
    assert "'mirante.model': 'run'" in predict and "'mirante.images': 1" in network


def test_nothing_is_told_where_nobody_has_configured_it_or_it_is_not_there(shapes_run: tuple[Path, Path]) -> None:
    assert ask("unconfigured", shapes_run) == ["200", "[]"]
    assert ask("missing", shapes_run) == ["200", "[]"]
