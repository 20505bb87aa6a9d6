/** The commands on what is in one sandbox: its files, its output, what it is. */
@NullMarked
package dev.podflare.cli.sandbox;

import org.jspecify.annotations.NullMarked;
