/** The living Python of a sandbox at the prompt. */
@NullMarked
package dev.podflare.cli.repl;

import org.jspecify.annotations.NullMarked;
