"use strict";
// Metrics that OpenTelemetry's automatic instrumentation of Node.js lacks: open WebSockets, which nothing counts, and
// the durations of gRPC calls, for which @opentelemetry/instrumentation-grpc only makes spans:
// see issue 5250 of open-telemetry/opentelemetry-js. The latter are named by its semantic conventions for RPC metrics.
//
// Loaded by --require, after the agent's register.js. It is a guest in a program that works without it, so it swallows
// its errors, and without the agent it does nothing.
//
// ES modules are reached, because @grpc/grpc-js is CommonJS and requires its own files. Not reached are @grpc/grpc-js
// inside of a bundle, as --require sees whole modules; its servers before version 1.10; WebSockets over HTTP/2; and
// servers that are not Node's own, such as uWebSockets.js.

const { EventEmitter } = require("node:events");
const { createRequire } = require("node:module");
const path = require("node:path");

const REGISTER = path.join("@opentelemetry", "auto-instrumentations-node", "build", "src", "register.js");
const BOUNDARIES = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];
const CANCELLED = 1;
// A client chooses the path, and each value is a series for as long as the program runs.
const MOST_PATHS = 50;

function quietly(act) {
  try {
    act();
  } catch {
    // The program comes first.
  }
}

function wrap(owner, name, around) {
  const original = owner[name];
  if (typeof original === "function") owner[name] = around(original);
}

function countWebSockets(meter) {
  const connections = meter.createUpDownCounter("nodejs.websocket.connections", { description: "Open WebSockets." });
  const opened = meter.createCounter("nodejs.websocket.opened", { description: "WebSockets that were opened." });
  const paths = new Set();

  function attributesOf(url) {
    const start = url.split(/[?#]/, 1)[0].split("/").slice(0, 3).join("/").slice(0, 100);
    if (paths.size < MOST_PATHS) paths.add(start);
    return { "url.path": paths.has(start) ? start : "other" };
  }

  // Whatever library answers, the first that it writes begins with the status. A refusal may also be the end.
  function watch(request, socket) {
    if (request.headers.upgrade.toLowerCase() !== "websocket") return;
    const { url } = request;
    const write = socket.write;
    let answered = false;
    socket.write = function answer(chunk) {
      quietly(() => {
        if (answered) return;
        answered = true;
        if (socket.write === answer) socket.write = write;
        if (socket.destroyed || !Buffer.from(chunk).toString("latin1", 0, 13).startsWith("HTTP/1.1 101 ")) return;
        const attributes = attributesOf(url);
        socket.once("close", () => quietly(() => connections.add(-1, attributes)));
        connections.add(1, attributes);
        opened.add(1, attributes);
      });
      return write.apply(this, arguments);
    };
  }

  for (const { Server } of [require("node:http"), require("node:https")]) {
    wrap(Server.prototype, "emit", (emit) => function (event, request, socket) {
      if (event === "upgrade") quietly(() => watch(request, socket));
      return emit.apply(this, arguments);
    });
  }
}

// Prometheus asks for the metrics by HTTP, which is no request of anybody to the program, and would be counted as one.
function leaveOutScrapes() {
  const port = Number(process.env.OTEL_EXPORTER_PROMETHEUS_PORT || 9464);
  wrap(require("node:http").Server.prototype, "emit", (emit) => function (event) {
    const isScrape = event === "request" && this.address()?.port === port;
    return (isScrape ? EventEmitter.prototype.emit : emit).apply(this, arguments);
  });
}

function timeCalls(meter, { Hook }) {
  const advice = { explicitBucketBoundaries: BOUNDARIES };
  const options = { description: "Durations of gRPC calls.", unit: "s", advice };
  const ofServers = meter.createHistogram("rpc.server.call.duration", options);
  const ofClients = meter.createHistogram("rpc.client.call.duration", options);
  let statuses = {};

  function record(histogram, method, started, code, more) {
    histogram.record((performance.now() - started) / 1000, {
      "rpc.system.name": "grpc",
      "rpc.method": method.replace(/^\//, ""),
      "rpc.response.status_code": statuses[code] ?? String(code),
      ...more,
    });
  }

  // Each call of each kind of client goes through its channel once, and what is tried again is below that.
  function patchChannel(channel) {
    wrap(channel, "createCall", (createCall) => function (method) {
      const call = createCall.apply(this, arguments);
      quietly(() => {
        // dns:chat-service.pp-cs:5051, ipv4:10.0.0.1:5051, or with a name server: dns://10.0.0.10/chat-service:5051
        const target = this.getTarget().replace(/^[\w+.-]+:(\/\/[^/]*\/)?/, "");
        const address = target.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
        wrap(call, "start", (start) => function (metadata, listener) {
          const started = performance.now();
          quietly(() => wrap(listener, "onReceiveStatus", (receive) => function (status) {
            quietly(() => record(ofClients, method, started, status.code, { "server.address": address }));
            return receive.apply(this, arguments);
          }));
          return start.apply(this, arguments);
        });
      });
      return call;
    });
  }

  // It lies below all interceptors, and exists only for methods that the server has: others any client could invent.
  function patchServerCall(call) {
    const starts = new WeakMap();
    // A call can end more than once, and only the first end reaches the client.
    const end = (it, code) => quietly(() => {
      if (starts.has(it)) record(ofServers, it.handler.path, starts.get(it), code);
      starts.delete(it);
    });
    wrap(call, "start", (start) => function () {
      starts.set(this, performance.now());
      return start.apply(this, arguments);
    });
    wrap(call, "sendStatus", (sendStatus) => function (status) {
      end(this, status.code);
      return sendStatus.apply(this, arguments);
    });
    wrap(call, "notifyOnCancel", (notifyOnCancel) => function () {
      end(this, CANCELLED);
      return notifyOnCancel.apply(this, arguments);
    });
  }

  // The files and not the package: by the time that the package is there, clients hold what they were made of.
  const patches = { ChannelImplementation: patchChannel, BaseServerInterceptingCall: patchServerCall };
  const patched = new WeakSet();
  new Hook(["@grpc/grpc-js"], { internals: true }, (exports) => {
    quietly(() => {
      if (exports.Status?.OK === 0) statuses = exports.Status;
      for (const [name, patch] of Object.entries(patches)) {
        const prototype = exports[name]?.prototype;
        if (prototype === undefined || patched.has(prototype)) continue;
        patched.add(prototype);
        patch(prototype);
      }
    });
    return exports;
  });
}

quietly(() => {
  const register = Object.keys(require.cache).find((file) => file.endsWith(REGISTER));
  if (register === undefined) return;
  const agent = createRequire(register);
  const meter = agent("@opentelemetry/api").metrics.getMeter("nodejs-metrics");
  quietly(() => countWebSockets(meter));
  quietly(leaveOutScrapes);
  // What a dependency depends on need not lie beside the agent.
  const instrumentation = createRequire(agent.resolve("@opentelemetry/instrumentation"));
  quietly(() => timeCalls(meter, instrumentation("require-in-the-middle")));
});
