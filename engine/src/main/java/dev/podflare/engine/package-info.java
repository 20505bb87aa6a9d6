/**
 * What a microVM can do, in words that no particular monitor owns: boot, snapshot, clone, run,
 * stop. An engine makes it true; the tests of this module are the contract that every engine must
 * pass. This module knows no other.
 */
@NullMarked
package dev.podflare.engine;

import org.jspecify.annotations.NullMarked;
