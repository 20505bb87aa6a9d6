/**
 * The {@code podflare} command. This is the one place that knows all parts, so it is where an
 * engine is chosen and the server is put together.
 */
@NullMarked
package dev.podflare.cli;

import org.jspecify.annotations.NullMarked;
