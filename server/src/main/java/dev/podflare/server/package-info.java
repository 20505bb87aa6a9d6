/**
 * Sandboxes over HTTP: who may do what, requests in, answers and event streams out. It asks the
 * sandbox module for everything, and never learns which engine runs underneath.
 */
@NullMarked
package dev.podflare.server;

import org.jspecify.annotations.NullMarked;
