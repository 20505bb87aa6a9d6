/**
 * The engine that runs every microVM in a QEMU process of its own: with KVM where the host can
 * really use it, by emulation elsewhere. Only the command line's assembly knows that it is QEMU.
 */
@NullMarked
package dev.podflare.engine.qemu;

import org.jspecify.annotations.NullMarked;
