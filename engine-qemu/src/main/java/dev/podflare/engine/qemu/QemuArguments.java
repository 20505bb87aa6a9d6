package dev.podflare.engine.qemu;

import dev.podflare.engine.BootImage;
import dev.podflare.engine.MachineShape;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NavigableSet;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * QEMU's command line. A clone's machine must be the one that was frozen, device by device, so both
 * are written from one place. Paths are those inside of the {@link Jail}.
 */
final class QemuArguments {

  private static final Set<String> SERVING_THREADS = Set.of("IO mon_iothread", "layers");

  private static final Pattern PROCESSOR = Pattern.compile("(ALL CPUs|CPU [0-9]+)/(TCG|KVM)");

  static final String KERNEL = "/image/vmlinuz";
  static final String INITRAMFS = "/image/initramfs.img";
  static final String ROOTFS = "/image/rootfs";

  /** Names of the devices whose disks a waiting machine gets later. */
  static final String BASE_DEVICE = "base";

  static final String DISK_DEVICE = "disk";

  /** Where a waiting machine hears the state that it shall take. */
  private static final String INCOMING = VmDirectory.WORK_IN_JAIL + "/incoming.sock";

  /** The number of the disk that is {@linkplain #waiting open} before it is needed. */
  static final int OPEN_DISK = 0;

  /** The number of the disk that a machine is told of, if that one does not fit. */
  static final int TOLD_DISK = 1;

  /** The first layer of the writable disk, in a machine that has it open before it needs it. */
  private static final String LOWEST_DISK = "lowest";

  /** What the virtio port is called in the guest: docs/agent-protocol.md. */
  private static final String AGENT_PORT = "dev.podflare.agent";

  private final Qemu qemu;
  private final MachineShape shape;

  QemuArguments(Qemu qemu, MachineShape shape) {
    this.qemu = qemu;
    this.shape = shape;
  }

  /** Whether a thread of this name serves us, as the main one does, and never runs the guest. */
  static boolean isServing(String thread) {
    return SERVING_THREADS.contains(thread);
  }

  /** Whether a thread of this name is one of the guest's processors. */
  static boolean isProcessor(String thread) {
    return PROCESSOR.matcher(thread).matches();
  }

  /** A cold machine whose memory is a file that becomes part of the snapshot. */
  List<String> boot(BootImage image) {
    List<String> words =
        machine(
            "memory-backend-file,id=ram,size=%dM,mem-path=%s/memory,share=on"
                .formatted(shape.memoryMiB(), VmDirectory.WORK_IN_JAIL));
    words.addAll(
        List.of(
            "-blockdev",
            "driver=raw,node-name=no-base,read-only=on,file.driver=file,file.filename=" + ROOTFS,
            "-blockdev",
            "driver=raw,node-name=%s,discard=unmap,detect-zeroes=unmap,file.driver=file,file.cache.no-flush=on,file.filename=%s/disk"
                .formatted(diskName(OPEN_DISK), VmDirectory.WORK_IN_JAIL),
            "-chardev",
            "file,id=console,path=" + VmDirectory.WORK_IN_JAIL + "/console.log",
            "-kernel",
            KERNEL,
            "-initrd",
            INITRAMFS,
            "-append",
            image.commandLine() + " console=ttyS0 panic=-1"));
    words.addAll(devices());
    return words;
  }

  /**
   * A machine that waits to become a clone of anything of its shape. Its memory is mapped over, and
   * its disks are put in place of the empty ones, once it is known what it shall be.
   *
   * <p>A disk that it has open already need not be the one that it will see. Until device state
   * comes in, a monitor holds all of its disks inactive, since the machine that the state comes
   * from may still write to them, and reads their tables again when it takes over. So what is in
   * the file by then counts.
   *
   * @param founded whether {@link Foundations} are laid: then it has the usual disks open
   */
  List<String> waiting(boolean founded) {
    long diskBytes = (long) shape.diskMiB() << 20;
    List<String> words =
        machine("memory-backend-ram,id=ram,size=%dM,merge=off".formatted(shape.memoryMiB()));
    words.addAll(
        List.of(
            "-blockdev",
            founded
                ? openAlready("no-base", "rootfs")
                : "driver=null-co,node-name=no-base,size=%d,read-only=on".formatted(diskBytes),
            // What a guest prints must not grow anything on the host.
            "-chardev",
            "ringbuf,id=console,size=65536",
            "-incoming",
            "unix:" + INCOMING,
            "-S"));
    if (founded) {
      words.addAll(
          List.of(
              "-blockdev",
              openAlready(LOWEST_DISK, "disk.0"),
              "-blockdev",
              option("", overlay(OPEN_DISK, LOWEST_DISK))));
    } else {
      words.addAll(
          List.of(
              "-blockdev",
              "driver=null-co,node-name=%s,size=%d".formatted(diskName(OPEN_DISK), diskBytes)));
    }
    words.addAll(devices());
    return words;
  }

  /**
   * QEMU would drop the pages of a file from the host's cache when device state comes in, in case
   * another host wrote to it; nobody writes to these.
   */
  private static String openAlready(String node, String layer) {
    return "driver=raw,node-name=%s,read-only=on,file.driver=file,file.drop-cache=off,file.locking=off,file.filename=%s/%s"
        .formatted(node, VmDirectory.LAYERS_IN_JAIL, layer);
  }

  /** The read-only disk of a clone. */
  static Map<String, ?> baseDisk() {
    return Map.of(
        "driver",
        "raw",
        "node-name",
        "clone-base",
        "read-only",
        true,
        "file",
        file(VmDirectory.LAYERS_IN_JAIL + "/rootfs"));
  }

  /**
   * The writable disk of a clone that can't be the one which is open already.
   *
   * @param layers the numbers of the layers below, the lowest one first; the first is raw
   * @param founded whether the first is {@linkplain #waiting open} already
   */
  static Map<String, ?> cloneDisk(NavigableSet<Integer> layers, boolean founded) {
    @Nullable Object below = founded ? LOWEST_DISK : null;
    for (int layer : founded ? layers.tailSet(layers.first(), false) : layers) {
      Map<String, Object> node = new LinkedHashMap<>();
      node.put("driver", below == null ? "raw" : "qcow2");
      node.put("read-only", true);
      node.put("file", file(VmDirectory.LAYERS_IN_JAIL + "/disk." + layer));
      if (below != null) {
        node.put("backing", below);
      }
      below = node;
    }
    return overlay(TOLD_DISK, below);
  }

  /** What names to QEMU the file that a machine writes to, the uppermost layer of its disk. */
  static String diskName(int number) {
    return "overlay-" + number;
  }

  private static String diskPath(int number) {
    return VmDirectory.WORK_IN_JAIL + "/disk-" + number + ".qcow2";
  }

  /** A layer to write to, over another one, or over what it is put upon later. */
  static Map<String, ?> overlay(int number, @Nullable Object below) {
    Map<String, @Nullable Object> node = new LinkedHashMap<>();
    node.put("driver", "qcow2");
    node.put("node-name", diskName(number));
    node.put("discard", "unmap");
    node.put("detect-zeroes", "unmap");
    node.put("backing", below);
    Map<String, Object> file = new LinkedHashMap<>();
    file.put("driver", "file");
    file.put("drop-cache", false);
    file.put("cache", Map.of("no-flush", true));
    file.put("filename", diskPath(number));
    node.put("file", file);
    return node;
  }

  /** A node as the command line has it: what QMP takes as an object in an object is a.b there. */
  private static String option(String prefix, Map<?, ?> node) {
    return node.entrySet().stream()
        .map(entry ->
            switch (entry.getValue()) {
              case Map<?, ?> inner -> option(prefix + entry.getKey() + ".", inner);
              case Boolean on -> prefix + entry.getKey() + "=" + (on ? "on" : "off");
              default -> prefix + entry.getKey() + "=" + entry.getValue();
            })
        .collect(Collectors.joining(","));
  }

  private static Map<String, ?> file(String path) {
    return Map.of("driver", "file", "filename", path);
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
        "-serial",
        "chardev:console",
        "-device",
        "virtio-blk-pci,drive=no-base,id=" + BASE_DEVICE,
        // A full host disk must be an error in the guest, not a machine that stops for ever.
        "-device",
        "virtio-blk-pci,drive=%s,werror=report,rerror=report,id=%s"
            .formatted(diskName(OPEN_DISK), DISK_DEVICE),
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
