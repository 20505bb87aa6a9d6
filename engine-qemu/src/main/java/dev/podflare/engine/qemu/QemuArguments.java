package dev.podflare.engine.qemu;

import dev.podflare.engine.BootImage;
import dev.podflare.engine.MachineShape;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * QEMU's command line. A clone's machine must be the one that was frozen, device by device, so both
 * are written from one place. Paths are those inside of the {@link Jail}.
 */
final class QemuArguments {

  static final String KERNEL = "/image/vmlinuz";
  static final String INITRAMFS = "/image/initramfs.img";
  static final String ROOTFS = "/image/rootfs";

  /** The memory and the disk of a machine that boots. */
  static final String BOOT_MEMORY = "/memory";

  static final String BOOT_DISK = "/disk";

  /** Names of the devices whose disks a blank monitor's child gets later. */
  static final String BASE_DEVICE = "base";

  static final String DISK_DEVICE = "disk";

  /** The node of a child's read-only disk. */
  static final String BASE_NODE = "clone-base";

  /** The disk that a monitor begins with, whatever comes in its place. */
  private static final String FIRST_DISK = "no-disk";

  /** What the virtio port is called in the guest: docs/agent-protocol.md. */
  private static final String AGENT_PORT = "dev.podflare.agent";

  private final Qemu qemu;
  private final MachineShape shape;

  QemuArguments(Qemu qemu, MachineShape shape) {
    this.qemu = qemu;
    this.shape = shape;
  }

  /** A cold machine whose memory is a file that becomes part of the snapshot. */
  List<String> boot(BootImage image) {
    List<String> words =
        machine(
            "memory-backend-file,id=ram,size=%dM,mem-path=%s,share=on"
                .formatted(shape.memoryMiB(), BOOT_MEMORY));
    words.addAll(
        List.of(
            "-blockdev",
            "driver=raw,node-name=no-base,read-only=on,file.driver=file,file.filename=" + ROOTFS,
            "-blockdev",
            "driver=raw,node-name=%s,discard=unmap,detect-zeroes=unmap,file.driver=file,file.locking=off,file.cache.no-flush=on,file.filename=%s"
                .formatted(FIRST_DISK, BOOT_DISK),
            "-kernel",
            KERNEL,
            "-initrd",
            INITRAMFS,
            "-append",
            image.commandLine() + " console=ttyS0 panic=-1" + qemu.accelerator().kernelOptions()));
    words.addAll(devices());
    return words;
  }

  /**
   * A monitor with nothing in it, whose children become machines of its shape: their memory is
   * mapped over, their disks are put in place of the empty ones, and device state comes in.
   */
  List<String> blank() {
    long diskBytes = (long) shape.diskMiB() << 20;
    List<String> words =
        machine("memory-backend-ram,id=ram,size=%dM,merge=off".formatted(shape.memoryMiB()));
    words.addAll(
        List.of(
            "-blockdev",
            "driver=null-co,node-name=no-base,size=%d,read-only=on".formatted(diskBytes),
            "-blockdev",
            "driver=null-co,node-name=%s,size=%d".formatted(FIRST_DISK, diskBytes),
            "-incoming",
            "defer",
            "-S"));
    words.addAll(devices());
    return words;
  }

  /** A file that is only read. */
  static Map<String, ?> readOnly(String node, int offered) {
    return Map.of("driver", "raw", "node-name", node, "read-only", true, "file", file(offered));
  }

  /**
   * The writable disk.
   *
   * @param offered the names of the layers below, the lowest one first, which is raw
   * @param number of the file that is written to
   */
  static Map<String, ?> disk(List<Integer> offered, int number) {
    @Nullable Object below = null;
    for (int layer : offered) {
      Map<String, Object> node = new LinkedHashMap<>();
      node.put("driver", below == null ? "raw" : "qcow2");
      node.put("read-only", true);
      node.put("file", file(layer));
      if (below != null) {
        node.put("backing", below);
      }
      below = node;
    }
    return overlay(number, below);
  }

  /** What names to QEMU the file that a machine writes to, the uppermost layer of its disk. */
  static String diskName(int number) {
    return "overlay-" + number;
  }

  /** A layer to write to, over another one, or over what it is put upon later. */
  static Map<String, ?> overlay(int number, @Nullable Object below) {
    Map<String, @Nullable Object> node = new LinkedHashMap<>();
    node.put("driver", "qcow2");
    node.put("node-name", diskName(number));
    node.put("discard", "unmap");
    node.put("detect-zeroes", "unmap");
    node.put("backing", below);
    Map<String, Object> file = new LinkedHashMap<>(file(Offered.disk(number)));
    file.put("cache", Map.of("no-flush", true));
    node.put("file", file);
    return node;
  }

  /**
   * QEMU would drop the pages of a file from the host's cache when device state comes in, in case
   * another host wrote to it; nobody does. Its locks would be those of a file that a child has not.
   */
  private static Map<String, Object> file(int offered) {
    return Map.of(
        "driver",
        "file",
        "filename",
        MonitorControl.path(offered),
        "drop-cache",
        false,
        "locking",
        "off");
  }

  private List<String> machine(String memory) {
    return new ArrayList<>(
        List.of(
            qemu.program(),
            "-nodefaults",
            "-no-user-config",
            // Gives its threads their names.
            "-name",
            "microvm,debug-threads=on",
            "-display",
            "none",
            "-no-reboot",
            "-accel",
            qemu.accelerator().option(shape.cpus()),
            "-cpu",
            qemu.accelerator().processor(),
            "-machine",
            qemu.machineType()
                + ",usb=off,vmport=off,hpet=off,smm=off,suppress-vmdesc=on,memory-backend=ram",
            // Device state that is saved without memory has no such section, so none may be
            // expected.
            "-global",
            "migration.send-configuration=off",
            "-smp",
            Integer.toString(shape.cpus()),
            "-m",
            shape.memoryMiB() + "M",
            "-object",
            memory));
  }

  /** The order gives the guest's names: the read-only base is vda, the writable disk vdb. */
  private static List<String> devices() {
    return List.of(
        "-chardev",
        "socket,id=qmp,fd=4,server=on,wait=off",
        "-mon",
        "chardev=qmp,mode=control",
        // What a guest prints must not grow anything on the host.
        "-chardev",
        "ringbuf,id=console,size=65536",
        "-serial",
        "chardev:console",
        "-device",
        "virtio-blk-pci,drive=no-base,id=" + BASE_DEVICE,
        // A full host disk must be an error in the guest, not a machine that stops for ever.
        "-device",
        "virtio-blk-pci,drive=%s,werror=report,rerror=report,id=%s"
            .formatted(FIRST_DISK, DISK_DEVICE),
        "-device",
        "virtio-serial-pci,max_ports=2",
        "-chardev",
        "socket,id=agent,fd=5,server=on,wait=off",
        "-device",
        "virtserialport,chardev=agent,name=" + AGENT_PORT,
        "-netdev",
        "tap,id=net,fd=3,vhost=off",
        "-device",
        "virtio-net-pci,netdev=net,mac=52:54:00:12:34:56,romfile=",
        "-object",
        "rng-builtin,id=rng",
        "-device",
        "virtio-rng-pci,rng=rng",
        // A new id for each start: the kernel reseeds by itself, beside what the agent does.
        "-device",
        "vmgenid,guid=auto");
  }
}
