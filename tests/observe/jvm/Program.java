import akka.actor.ActorSystem;
import akka.http.javadsl.Http;
import akka.http.javadsl.model.AttributeKeys;
import akka.http.javadsl.model.ContentTypes;
import akka.http.javadsl.model.HttpEntities;
import akka.http.javadsl.model.HttpRequest;
import akka.http.javadsl.model.HttpResponse;
import akka.http.javadsl.model.StatusCodes;
import akka.http.javadsl.model.Trailer;
import akka.http.javadsl.model.headers.RawHeader;
import akka.http.javadsl.server.AllDirectives;
import akka.http.javadsl.server.PathMatchers;
import akka.http.javadsl.server.Route;
import akka.japi.function.Function;
import akka.util.ByteString;
import com.typesafe.config.ConfigFactory;
import io.grpc.CallOptions;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.MethodDescriptor;
import io.grpc.ServerServiceDefinition;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.ServerCalls;
import io.grpc.stub.StreamObserver;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;

/**
 * A program as others write them: it knows nothing of telemetry.
 *
 * <p>It serves HTTP by Akka HTTP at HTTP_PORT, if that is set, and gRPC at GRPC_PORT: by grpc-java, or, with HTTP2=on, as
 * Akka gRPC does, by Akka HTTP over HTTP/2. It calls by grpc-java and by java.net.http.
 */
public class Program extends AllDirectives {
  private static final long SLOW = 700;
  private static final String HOST = "127.0.0.1";
  private static final ScheduledExecutorService CLOCK = Executors.newSingleThreadScheduledExecutor();
  private static final HttpClient CLIENT = HttpClient.newHttpClient();

  /** Bytes as they are: what they mean is nobody's business here. */
  private static final MethodDescriptor.Marshaller<String> TEXT =
      new MethodDescriptor.Marshaller<>() {
        public InputStream stream(String value) {
          return new ByteArrayInputStream(value.getBytes(StandardCharsets.UTF_8));
        }

        public String parse(InputStream stream) {
          try {
            return new String(stream.readAllBytes(), StandardCharsets.UTF_8);
          } catch (IOException error) {
            throw new UncheckedIOException(error);
          }
        }
      };

  /** How it answers what it answers well: "well", "slow" or "failing". */
  private volatile String mode = "well";

  private static MethodDescriptor<String, String> method(String name) {
    return MethodDescriptor.<String, String>newBuilder(TEXT, TEXT)
        .setType(MethodDescriptor.MethodType.UNARY)
        .setFullMethodName("shop.Orders/" + name)
        .build();
  }

  private static <T> CompletionStage<T> after(long milliseconds, Supplier<T> value) {
    CompletableFuture<T> future = new CompletableFuture<>();
    CLOCK.schedule(() -> future.complete(value.get()), milliseconds, TimeUnit.MILLISECONDS);
    return future;
  }

  private CompletionStage<HttpResponse> json(int status, String text) {
    long wait = mode.equals("slow") ? SLOW : 0;
    var entity = HttpEntities.create(ContentTypes.APPLICATION_JSON, text);
    var answer = HttpResponse.create().withStatus(mode.equals("failing") ? 500 : status).withEntity(entity);
    return wait == 0 ? CompletableFuture.completedFuture(answer) : after(wait, () -> answer);
  }

  private Route routes() {
    return concat(
        path(
            PathMatchers.segment("orders").slash(PathMatchers.integerSegment()),
            id -> get(() -> completeWithFuture(json(200, "{\"order\":" + id + "}")))),
        path("ok", () -> get(() -> completeWithFuture(json(200, "{\"ok\":true}")))),
        path("fail", () -> get(() -> completeWithFuture(json(500, "{\"ok\":false}")))),
        path("ready", () -> get(() -> complete("OK"))),
        path("alive", () -> get(() -> complete("OK"))),
        path(
            PathMatchers.segment("become").slash(PathMatchers.segment()),
            wanted -> get(() -> { mode = wanted; return complete(wanted); })),
        path(
            PathMatchers.segment("call").slash(PathMatchers.segment()).slash(PathMatchers.segment()),
            (called, method) -> get(() -> complete(call(called, method)))),
        path("fetch", () -> get(() -> parameter("url", url -> complete(fetch(url))))));
  }

  /** Calls a method at an address, and returns the name of the status. */
  private String call(String address, String method) {
    ManagedChannel channel = ManagedChannelBuilder.forTarget(address).usePlaintext().build();
    try {
      var options = CallOptions.DEFAULT.withDeadlineAfter(method.equals("Never") ? 200 : 60_000, TimeUnit.MILLISECONDS);
      ClientCalls.blockingUnaryCall(channel, method(method), options, "{\"id\":7}");
      return "OK";
    } catch (StatusRuntimeException error) {
      return error.getStatus().getCode().toString();
    } finally {
      channel.shutdownNow();
    }
  }

  private String fetch(String url) {
    try {
      var request = java.net.http.HttpRequest.newBuilder(URI.create(url)).build();
      return "" + CLIENT.send(request, java.net.http.HttpResponse.BodyHandlers.ofString()).statusCode();
    } catch (IOException | InterruptedException error) {
      return error.getClass().getSimpleName();
    }
  }

  /** Answers as Akka gRPC does: a message behind its length and the status in the trailer, or nothing but the status. */
  private CompletionStage<HttpResponse> akkaGrpc(HttpRequest request, ActorSystem system) {
    request.discardEntityBytes(system);
    boolean fails = mode.equals("failing") || request.getUri().path().endsWith("/Fail");
    var type = ContentTypes.parse("application/grpc+proto");
    var status = RawHeader.create("grpc-status", fails ? "13" : "0");
    HttpResponse answer =
        fails
            ? HttpResponse.create().withEntity(HttpEntities.create(type, ByteString.emptyByteString())).addHeader(status)
            : HttpResponse.create()
                .withEntity(HttpEntities.create(type, framed("{\"order\":7}")))
                .addAttribute(AttributeKeys.trailer, Trailer.create().addHeader(status));
    return mode.equals("slow") ? after(SLOW, () -> answer) : CompletableFuture.completedFuture(answer);
  }

  private static ByteString framed(String message) {
    ByteString bytes = ByteString.fromString(message);
    return ByteString.fromInts(0, 0, 0, 0, bytes.size()).concat(bytes);
  }

  private ServerServiceDefinition grpcJava() {
    var service = ServerServiceDefinition.builder("shop.Orders");
    service.addMethod(method("Get"), ServerCalls.asyncUnaryCall((String request, StreamObserver<String> answer) -> {
      answer.onNext("{\"order\":7}");
      answer.onCompleted();
    }));
    service.addMethod(method("Fail"), ServerCalls.asyncUnaryCall((String request, StreamObserver<String> answer) ->
        answer.onError(Status.INTERNAL.asRuntimeException())));
    // Its clients give up at their deadlines.
    service.addMethod(method("Never"), ServerCalls.asyncUnaryCall((String request, StreamObserver<String> answer) -> {}));
    service.addMethod(method("Throw"), ServerCalls.asyncUnaryCall((String request, StreamObserver<String> answer) -> {
      throw new IllegalStateException("out of order");
    }));
    return service.build();
  }

  private void serve(String http, int grpc, boolean http2) throws Exception {
    ActorSystem system = null;
    if (http != null) {
      String settings = "akka.loglevel=OFF\nakka.http.server.enable-http2=" + (http2 ? "on" : "off");
      system = ActorSystem.create("shop", ConfigFactory.parseString(settings).withFallback(ConfigFactory.load()));
      Http.get(system).newServerAt(HOST, Integer.parseInt(http)).bind(routes()).toCompletableFuture().get();
    }
    if (http2) {
      ActorSystem its = system;
      Function<HttpRequest, CompletionStage<HttpResponse>> handler = request -> akkaGrpc(request, its);
      Http.get(its).newServerAt(HOST, grpc).bind(handler).toCompletableFuture().get();
    } else {
      NettyServerBuilder.forAddress(new InetSocketAddress(HOST, grpc)).addService(grpcJava()).build().start();
    }
  }

  public static void main(String[] arguments) throws Exception {
    var given = System.getenv();
    new Program().serve(given.get("HTTP_PORT"), Integer.parseInt(given.get("GRPC_PORT")), "on".equals(given.get("HTTP2")));
    System.out.println("listening");
  }
}
