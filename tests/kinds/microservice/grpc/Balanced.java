import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.MethodDescriptor;
import io.grpc.Server;
import io.grpc.ServerServiceDefinition;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.ServerCalls;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;

/**
 * Servers at several addresses, and a client that calls them by one name: which of them answer it, by its policy.
 *
 * <p>Arguments: the target of the client, the port, the policy ("" for the default), and the addresses of the servers.
 */
public class Balanced {
  private static final int CALLS = 30;

  /** Bytes as they are. */
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

  private static final MethodDescriptor<String, String> WHO =
      MethodDescriptor.<String, String>newBuilder(TEXT, TEXT)
          .setType(MethodDescriptor.MethodType.UNARY)
          .setFullMethodName("shop.Stock/Who")
          .build();

  private static Server server(String address, int port) throws IOException {
    var service =
        ServerServiceDefinition.builder("shop.Stock")
            .addMethod(
                WHO,
                ServerCalls.asyncUnaryCall(
                    (request, answer) -> {
                      answer.onNext(address);
                      answer.onCompleted();
                    }))
            .build();
    return NettyServerBuilder.forAddress(new InetSocketAddress(address, port)).addService(service).build().start();
  }

  public static void main(String[] arguments) throws Exception {
    int port = Integer.parseInt(arguments[1]);
    List<Server> servers = new ArrayList<>();
    for (int number = 3; number < arguments.length; number++) {
      servers.add(server(arguments[number], port));
    }
    var builder = ManagedChannelBuilder.forTarget(arguments[0]).usePlaintext();
    if (!arguments[2].isEmpty()) {
      builder.defaultLoadBalancingPolicy(arguments[2]);
    }
    ManagedChannel channel = builder.build();
    Map<String, Integer> answers = new TreeMap<>();
    // Until all connections that the policy wants are there, those that are answer.
    for (int call = 0; call < CALLS || (answers.size() < servers.size() && call < 40 * CALLS && !arguments[2].isEmpty()); call++) {
      var options = io.grpc.CallOptions.DEFAULT.withDeadlineAfter(20, TimeUnit.SECONDS);
      answers.merge(ClientCalls.blockingUnaryCall(channel, WHO, options, ""), 1, Integer::sum);
    }
    channel.shutdownNow();
    servers.forEach(Server::shutdownNow);
    System.out.println(String.join(" ", answers.keySet()));
    System.exit(0);
  }
}
