/**
 * Sandboxes as tools of a model, for programs on Anthropic's client library.
 *
 * <p>{@link dev.podflare.anthropic.AnthropicTools} is where to begin.
 */
@NullMarked
package dev.podflare.anthropic;

import org.jspecify.annotations.NullMarked;
