"""An OTLP receiver with the official protobuf messages: prints each request as one JSON object a line.

The first line is its port. Ids are shown in hexadecimal, everything else as protobuf's own JSON. In JSON
requests, ids are hexadecimal, too, as OTLP wants it: unlike in protobuf's own JSON. With a number, it says
that it rejected that many spans or log records (partial success).
"""

import base64
import gzip
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from google.protobuf.json_format import MessageToDict, MessageToJson, ParseDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

REJECTED = int(sys.argv[1]) if len(sys.argv) > 1 else 0
SIGNALS = {
    "/v1/traces": (ExportTraceServiceRequest, ExportTraceServiceResponse, "rejected_spans"),
    "/v1/logs": (ExportLogsServiceRequest, ExportLogsServiceResponse, "rejected_log_records"),
}
IDS = {"traceId", "spanId", "parentSpanId"}


def with_ids(value, change):
    """Applies a function to all ids in a JSON value."""
    if isinstance(value, list):
        return [with_ids(element, change) for element in value]
    if not isinstance(value, dict):
        return value
    return {
        name: change(member) if name in IDS else with_ids(member, change)
        for name, member in value.items()
    }


def to_base64(text):
    return base64.b64encode(bytes.fromhex(text)).decode()


def to_hex(text):
    return base64.b64decode(text).hex()


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        content_type = self.headers["content-type"]
        try:
            request, response, rejected = SIGNALS[self.path]
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            if content_type == "application/x-protobuf":
                request = request.FromString(body)
            else:
                # Fails for names that are not in the messages, and for enums or numbers of another type.
                request = ParseDict(with_ids(json.loads(body), to_base64), request())
            told = with_ids(MessageToDict(request, use_integers_for_enums=True), to_hex)
            # One write: other threads write, too.
            sys.stdout.write(json.dumps({"path": self.path, "request": told}) + "\n")
            sys.stdout.flush()
            response = response()
            if REJECTED:
                setattr(response.partial_success, rejected, REJECTED)
                response.partial_success.error_message = "rejected by the test"
            is_protobuf = content_type == "application/x-protobuf"
            answer = response.SerializeToString() if is_protobuf else MessageToJson(response).encode()
            self.answer(200, content_type, answer)
        except Exception as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            self.answer(400, "text/plain", b"")

    def answer(self, status, content_type, body):
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
print(server.server_port, flush=True)
server.serve_forever()
