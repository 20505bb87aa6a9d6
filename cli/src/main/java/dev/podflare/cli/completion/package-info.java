/** What a shell completes: commands, options, and the names that the server knows. */
@NullMarked
package dev.podflare.cli.completion;

import org.jspecify.annotations.NullMarked;
