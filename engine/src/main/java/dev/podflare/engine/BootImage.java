package dev.podflare.engine;

import java.nio.file.Path;

/**
 * What every microVM of a host is made from. The files are never written to.
 *
 * @param kernel a Linux kernel
 * @param initramfs the initial file system, with the guest's agent in it
 * @param rootfs a read-only file system image, the guest's first disk
 * @param commandLine what the kernel is told; the engine adds what its console needs
 */
public record BootImage(Path kernel, Path initramfs, Path rootfs, String commandLine) {}
