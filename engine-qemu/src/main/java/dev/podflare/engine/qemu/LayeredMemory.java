package dev.podflare.engine.qemu;

import dev.podflare.engine.EngineException;
import dev.podflare.engine.qemu.MemoryMap.Piece;
import dev.podflare.host.Extent;
import dev.podflare.host.ProcessMemory;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A guest's memory as its monitor has it mapped: where it lies in the monitor, and the host's end
 * of {@code src/main/c/layers.c}, by which layers are put under it. The guest must not run
 * meanwhile.
 *
 * @param address of the guest's memory in the monitor
 */
record LayeredMemory(Path socket, long address) {

  private static final System.Logger LOG = System.getLogger(LayeredMemory.class.getName());

  private static final Pattern ADDRESS =
      Pattern.compile("Host virtual address for 0x0 \\(.*\\) is 0x([0-9a-f]{1,16})\\s*");

  /** Asks a monitor where it has its guest's memory. */
  static LayeredMemory of(Qmp qmp, VmDirectory directory) throws EngineException {
    String said = qmp.monitor("gpa2hva 0");
    Matcher matcher = ADDRESS.matcher(said);
    if (!matcher.matches()) {
      throw new EngineException(
          EngineException.Kind.FAILED, "QEMU does not say where the guest's memory is: " + said);
    }
    return new LayeredMemory(
        directory.memorySocket(), Long.parseUnsignedLong(matcher.group(1), 16));
  }

  /** Makes the whole memory what a map says. */
  void become(MemoryMap map) throws EngineException {
    send(map.toRequest(address));
  }

  /** Puts layers under some parts. What the guest sees must be the same before and after. */
  void put(List<Piece> pieces) throws EngineException {
    send(MemoryMap.request(address, pieces));
  }

  /**
   * Has the monitor write parts of the memory to its {@link VmDirectory#newLayer}, one after the
   * other. It does so in two threads.
   */
  void write(List<Extent> extents) throws EngineException {
    long half = ProcessMemory.half(extents);
    send(
        requestToWrite(Extent.first(half, extents), 0),
        requestToWrite(Extent.after(half, extents), half));
  }

  private ByteBuffer requestToWrite(List<Extent> extents, long offsetInLayer) {
    return MemoryMap.request(address, MemoryMap.pieces(extents, MemoryMap.NEW, offsetInLayer));
  }

  /**
   * Sends requests that are carried out side by side, and waits for all, also when one has failed:
   * nothing may go on in the memory of a guest that runs again.
   */
  private void send(ByteBuffer... requests) throws EngineException {
    List<SocketChannel> channels = new ArrayList<>();
    try {
      for (ByteBuffer request : requests) {
        SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX);
        channels.add(channel);
        channel.connect(UnixDomainSocketAddress.of(socket));
        while (request.hasRemaining()) {
          channel.write(request);
        }
      }
      int failure = 0;
      for (SocketChannel channel : channels) {
        int errno = answer(channel);
        failure = failure == 0 ? errno : failure;
      }
      if (failure != 0) {
        throw new EngineException(
            EngineException.Kind.FAILED,
            "layers of memory can't be mapped or written: errno " + failure);
      }
    } catch (IOException e) {
      throw new EngineException(
          EngineException.Kind.GONE, "the machine monitor does not take its memory", e);
    } finally {
      channels.forEach(LayeredMemory::close);
    }
  }

  private static int answer(SocketChannel channel) throws IOException, EngineException {
    ByteBuffer answer = ByteBuffer.allocate(Integer.BYTES).order(ByteOrder.nativeOrder());
    while (answer.hasRemaining()) {
      if (channel.read(answer) < 0) {
        throw new EngineException(
            EngineException.Kind.GONE, "the machine monitor ended while its memory was mapped");
      }
    }
    return answer.flip().getInt();
  }

  private static void close(SocketChannel channel) {
    try {
      channel.close();
    } catch (IOException e) {
      LOG.log(System.Logger.Level.DEBUG, "a connection to a machine monitor can't be closed", e);
    }
  }
}
