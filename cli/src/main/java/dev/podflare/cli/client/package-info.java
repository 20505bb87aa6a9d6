/** How commands find a server, ask it, and say what it refused. */
@NullMarked
package dev.podflare.cli.client;

import org.jspecify.annotations.NullMarked;
