// Prints every CloudEvent that it gets, as the SDK of CloudEvents decodes it: one JSON object a line.
// The first line is its port. NODE_PATH says where the SDK is.

const http = require("node:http");
const zlib = require("node:zlib");
const { HTTP } = require("cloudevents");

const server = http.createServer(async (request, answer) => {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  try {
    const bytes = Buffer.concat(pieces);
    const packed = request.headers["content-encoding"] === "gzip";
    const body = (packed ? zlib.gunzipSync(bytes) : bytes).toString();
    const told = HTTP.toEvent({ headers: request.headers, body });
    const events = Array.isArray(told) ? told : [told];
    process.stdout.write(events.map((event) => JSON.stringify(event) + "\n").join(""));
    answer.writeHead(204).end();
  } catch (error) {
    console.error(error.message);
    answer.writeHead(400).end();
  }
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
