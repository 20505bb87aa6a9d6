/** How answers are written for people: tables, trees, quantities, colours. */
@NullMarked
package dev.podflare.cli.text;

import org.jspecify.annotations.NullMarked;
