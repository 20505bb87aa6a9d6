package dev.podflare.engine.qemu;

import dev.podflare.host.ControlSocket;
import dev.podflare.host.Descriptor;
import dev.podflare.host.Rollback;
import dev.podflare.host.UnixSocket;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/**
 * The sockets, the tap and the log that a monitor's child has of its own, made by the server in the
 * child's directory: the ends to hand over, and the server's ends.
 *
 * <p>The sockets listen under paths as well, so that a later server can connect.
 *
 * @param control to talk to the child
 * @param protocol QEMU's control protocol, in the middle of a session
 * @param agent the channel to the guest's agent
 * @param handedOver what the child gets, in the order of {@code struct descriptors}, but for disks
 */
record ChildEndpoints(
    MonitorControl control,
    SocketChannel protocol,
    SocketChannel agent,
    List<Descriptor> handedOver)
    implements AutoCloseable {

  /** The server connects to itself. */
  private static final Duration PATIENCE = Duration.ofSeconds(5);

  static ChildEndpoints make(HostResources host) throws IOException {
    VmDirectory directory = host.directory();
    try (Rollback rollback = new Rollback()) {
      List<Descriptor> handedOver = new ArrayList<>();
      rollback.add(() -> handedOver.forEach(Descriptor::close));
      ControlSocket.Pair pair = ControlSocket.pair();
      MonitorControl control = rollback.add(new MonitorControl(pair.ours()));
      handedOver.add(pair.theirs());
      handedOver.add(UnixSocket.listen(directory.forkSocket(), UnixSocket.Kind.SEQPACKET));
      SocketChannel protocol = rollback.add(connected(directory.controlSocket(), handedOver));
      SocketChannel agent = rollback.add(connected(directory.agentSocket(), handedOver));
      handedOver.add(host.network().openTap());
      handedOver.add(Descriptor.open(directory.log(), Descriptor.Access.CREATE_APPEND));
      rollback.commit();
      return new ChildEndpoints(control, protocol, agent, List.copyOf(handedOver));
    }
  }

  /** A connection, whose other end goes to the child, as does the socket that listens. */
  private static SocketChannel connected(Path path, List<Descriptor> handedOver)
      throws IOException {
    Descriptor listener = UnixSocket.listen(path, UnixSocket.Kind.STREAM);
    SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX);
    try {
      channel.connect(UnixDomainSocketAddress.of(path));
      handedOver.add(UnixSocket.accept(listener, PATIENCE));
      handedOver.add(listener);
      return channel;
    } catch (IOException e) {
      channel.close();
      listener.close();
      throw e;
    }
  }

  /** All that a child gets. */
  List<Descriptor> with(DiskDescriptors disk) {
    List<Descriptor> all = new ArrayList<>(handedOver);
    all.add(disk.parents());
    all.add(disk.own());
    all.add(disk.ownReadOnly());
    return all;
  }

  /** Closes what was handed over. The server's own ends stay. */
  void release() {
    handedOver.forEach(Descriptor::close);
  }

  @Override
  public void close() throws IOException {
    release();
    control.close();
    protocol.close();
    agent.close();
  }
}
