package dev.podflare.engine;

/**
 * What a cold microVM starts from.
 *
 * @param id the name of the microVM
 * @param image the immutable kernel and file system
 * @param shape its size, kept by every clone
 */
public record BootRequest(MicroVmId id, BootImage image, MachineShape shape) {}
