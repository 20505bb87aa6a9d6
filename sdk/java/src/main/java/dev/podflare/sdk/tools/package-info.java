/**
 * The tools of a model that works in a sandbox, whatever library brings its calls.
 *
 * <p>{@link dev.podflare.sdk.tools.SandboxTools} is where to begin.
 */
@NullMarked
package dev.podflare.sdk.tools;

import org.jspecify.annotations.NullMarked;
