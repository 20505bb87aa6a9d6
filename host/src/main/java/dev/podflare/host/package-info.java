/**
 * What Linux gives to the modules above, and nothing else: processes told apart from their
 * successors with the same id, network namespaces with their taps and packet filters, control
 * groups. Nothing here knows what a microVM is.
 */
@NullMarked
package dev.podflare.host;

import org.jspecify.annotations.NullMarked;
