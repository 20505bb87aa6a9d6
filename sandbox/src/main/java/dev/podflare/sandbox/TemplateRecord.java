package dev.podflare.sandbox;

import dev.podflare.engine.MachineShape;
import java.time.Instant;

/**
 * What is fixed about one build of a user's template from its beginning on.
 *
 * @param version counts the builds of this name, from 1
 * @param base the name of the template that it was built on
 * @param baseMark what that template was at the time: another mark means that it has changed
 * @param engine the fingerprint of the engine whose snapshot it is
 * @param shape the one size that it, and all that is cloned from it, has
 */
record TemplateRecord(
    TemplateId id,
    String owner,
    String name,
    int version,
    String base,
    String baseMark,
    String engine,
    MachineShape shape,
    Instant createdAt) {}
