"use strict";
// A program as others write them: it knows nothing of telemetry.

const dns = require("node:dns");
const { once } = require("node:events");
const http = require("node:http");
const { setTimeout: sleep } = require("node:timers/promises");
const express = require("express");
const grpc = require("@grpc/grpc-js");
const { WebSocketServer } = require("ws");

const SLOW = 300;
// Who is called; by default itself, as by any other name.
const CALLED = process.env.CALLED || "localhost";

// The names of Services mean this machine, as no cluster is there to resolve them.
for (const names of [dns, dns.promises]) {
  const { lookup } = names;
  names.lookup = (name, ...rest) => lookup(name.endsWith(".svc.cluster.local") ? "127.0.0.1" : name, ...rest);
}

const method = (name, requestStream, responseStream) => ({
  path: `/shop.Orders/${name}`,
  originalName: name.toLowerCase(),
  requestStream,
  responseStream,
  requestSerialize: encode,
  requestDeserialize: decode,
  responseSerialize: encode,
  responseDeserialize: decode,
});
const SERVICE = {
  Get: method("Get", false, false),
  Fail: method("Fail", false, false),
  Slow: method("Slow", false, false),
  List: method("List", false, true),
  Break: method("Break", false, true),
  Sum: method("Sum", true, false),
  Echo: method("Echo", true, true),
};

function encode(value) {
  return Buffer.from(JSON.stringify(value));
}

function decode(bytes) {
  return JSON.parse(bytes.toString());
}

async function serveGrpc() {
  const server = new grpc.Server();
  server.addService(SERVICE, {
    get: (call, callback) => callback(null, { order: call.request.id }),
    fail: (call, callback) => callback({ code: grpc.status.INTERNAL, details: "out of order" }),
    slow: (call, callback) => setTimeout(callback, SLOW, null, { order: call.request.id }),
    list: async (call) => {
      for (const order of [1, 2, 3]) {
        call.write({ order });
        await sleep(5);
      }
      call.end();
    },
    break: (call) => {
      call.write({ order: 1 });
      call.emit("error", { code: grpc.status.INTERNAL, details: "out of order" });
    },
    sum: (call, callback) => {
      let sum = 0;
      call.on("data", ({ id }) => (sum += id));
      call.on("end", () => callback(null, { sum }));
    },
    echo: (call) => {
      call.on("data", (message) => call.write(message));
      call.on("end", () => call.end());
    },
  });
  const address = `127.0.0.1:${process.env.GRPC_PORT}`;
  await new Promise((resolve, reject) =>
    server.bindAsync(address, grpc.ServerCredentials.createInsecure(), (error) => (error ? reject(error) : resolve())),
  );
}

function collect(stream, callback) {
  const messages = [];
  stream.on("data", (message) => messages.push(message));
  stream.on("error", () => {});
  stream.on("status", (status) => callback(status.code === grpc.status.OK ? null : status, messages));
}

function routes() {
  const Client = grpc.makeGenericClientConstructor(SERVICE, "shop.Orders");
  const client = new Client(`${CALLED}:${process.env.GRPC_PORT}`, grpc.credentials.createInsecure());
  const bare = new grpc.Client(`127.0.0.1:${process.env.GRPC_PORT}`, grpc.credentials.createInsecure());
  const app = express();
  app.get("/ok", (request, response) => response.json({ ok: true }));
  app.get("/orders/:id", (request, response) => response.json({ order: request.params.id }));
  app.get("/slow", (request, response) => setTimeout(() => response.json({ ok: true }), SLOW));
  app.get("/fail", (request, response) => response.status(500).json({ ok: false }));
  // As a client of itself, so that whoever calls needs to speak nothing but HTTP.
  app.get("/grpc/:name", (request, response) => {
    const answer = (error, result) =>
      error ? response.status(502).json({ code: error.code, details: error.details }) : response.json(result);
    const { name } = request.params;
    if (name === "bare") {
      bare.makeUnaryRequest(SERVICE.Get.path, encode, decode, { id: 7 }, answer);
    } else if (name === "unknown") {
      bare.makeUnaryRequest(`/shop.Orders/${request.query.method}`, encode, decode, { id: 7 }, answer);
    } else if (name === "late") {
      client.slow({ id: 7 }, { deadline: Date.now() + SLOW / 3 }, answer);
    } else if (name === "cancelled") {
      const call = client.slow({ id: 7 }, answer);
      setTimeout(() => call.cancel(), SLOW / 3);
    } else if (name === "list" || name === "break") {
      collect(client[name]({ id: 7 }), answer);
    } else if (name === "sum") {
      const call = client.sum(answer);
      for (const id of [1, 2, 3]) call.write({ id });
      call.end();
    } else if (name === "echo") {
      const call = client.echo();
      collect(call, answer);
      for (const id of [1, 2, 3]) call.write({ id });
      call.end();
    } else {
      client[name]({ id: 7 }, answer);
    }
  });
  app.get("/fetch", async (request, response) => {
    const answer = await fetch(`http://127.0.0.1:${process.env.PORT}/${request.query.path}`);
    response.status(answer.status).json(await answer.json());
  });
  app.get("/request", (request, response) => {
    http.get(`http://${process.env.CALLED || "127.0.0.1"}:${process.env.PORT}/${request.query.path}`, (answer) => {
      response.status(answer.statusCode);
      answer.pipe(response);
    });
  });
  // Other services, at the addresses that variables have.
  app.get("/others/http", (request, response) => {
    const failed = ({ code }) => response.status(502).json({ code });
    const { address, path } = request.query;
    const asked = http.get(`http://${process.env[address]}/${path}`, (answer) => {
      response.status(answer.statusCode);
      answer.pipe(response);
    });
    asked.on("error", failed);
  });
  const others = {};
  app.get("/others/grpc", (request, response) => {
    const { address, method } = request.query;
    others[address] ??= new grpc.Client(process.env[address], grpc.credentials.createInsecure());
    others[address].makeUnaryRequest(`/shop.Orders/${method}`, encode, decode, { id: 7 }, (error, result) =>
      error ? response.status(502).json({ code: error.code, details: error.details }) : response.json(result),
    );
  });
  // Nobody listens at this port.
  app.get("/refused", (request, response) => {
    http.get(`http://${CALLED}:1/`).on("error", ({ code }) => response.status(502).json({ code }));
  });
  return app;
}

function serveWebSockets(server) {
  const sockets = new WebSocketServer({ noServer: true });
  sockets.on("connection", (socket) => {
    socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
    socket.on("error", () => {});
  });
  server.on("upgrade", (request, socket, head) => {
    socket.on("error", () => {});
    const { pathname, searchParams } = new URL(request.url, "http://localhost");
    if (searchParams.has("refuse")) {
      socket.write("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
      socket.end();
    } else if (pathname.startsWith("/ws/")) {
      sockets.handleUpgrade(request, socket, head, (accepted) => sockets.emit("connection", accepted, request));
    } else {
      socket.end("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    }
  });
}

async function main() {
  await serveGrpc();
  const server = http.createServer(routes());
  serveWebSockets(server);
  server.listen(Number(process.env.PORT), "127.0.0.1");
  await once(server, "listening");
  console.log("listening");
}

main();
