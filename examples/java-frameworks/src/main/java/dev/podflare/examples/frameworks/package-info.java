/** A sandbox as tools of LangChain4j and Spring AI. */
@NullMarked
package dev.podflare.examples.frameworks;

import org.jspecify.annotations.NullMarked;
