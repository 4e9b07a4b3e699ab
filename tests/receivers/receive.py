"""Prints every CloudEvent that it gets, as the SDK of CloudEvents decodes it: one JSON object a line.

The first line is its port. With the name of a file it wants requests that are signed with the secret
in there (Standard Webhooks), and says 401 to all others.
"""

import gzip
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cloudevents.core.bindings.http import HTTPMessage, from_http
from cloudevents.core.formats.json import JSONFormat
from standardwebhooks import Webhook, WebhookVerificationError

WEBHOOK = Webhook(open(sys.argv[1]).read().strip()) if len(sys.argv) > 1 else None


def events(headers, body):
    if not headers["content-type"].startswith("application/cloudevents-batch+json"):
        return [from_http(HTTPMessage(headers, body), JSONFormat())]
    # The SDK knows no batches, but what is in them.
    return [JSONFormat().read(None, json.dumps(event)) for event in json.loads(body)]


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            if headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            if WEBHOOK:
                WEBHOOK.verify(body, headers)
            told = [JSONFormat().write(event).decode() + "\n" for event in events(headers, body)]
            # One write: other threads write, too.
            sys.stdout.write("".join(told))
            sys.stdout.flush()
            self.answer(202)
        except WebhookVerificationError:
            self.answer(401)
        except Exception as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            self.answer(400)

    def answer(self, status):
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
print(server.server_port, flush=True)
server.serve_forever()
