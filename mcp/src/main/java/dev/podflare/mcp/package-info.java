/**
 * Sandboxes as tools of a model. The tools are written once, over {@link
 * dev.podflare.mcp.SandboxCalls}; the Model Context Protocol's own SDK speaks to the client, over
 * standard streams or HTTP.
 */
@NullMarked
package dev.podflare.mcp;

import org.jspecify.annotations.NullMarked;
