package dev.podflare.sandbox;

import java.io.InputStream;
import java.util.OptionalLong;

/**
 * An open file of a sandbox.
 *
 * @param size how many bytes it will give; empty for a file that does not know, as those of /proc
 * @param bytes the content; an {@link java.io.IOException} in it means that the guest broke off
 */
public record FileContent(OptionalLong size, InputStream bytes) {}
