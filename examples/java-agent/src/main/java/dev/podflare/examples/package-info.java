/** An agent on Podflare and Anthropic's client library. */
@NullMarked
package dev.podflare.examples;

import org.jspecify.annotations.NullMarked;
