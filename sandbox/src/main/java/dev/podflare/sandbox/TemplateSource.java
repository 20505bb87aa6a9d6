package dev.podflare.sandbox;

import dev.podflare.engine.Egress;

/** What machines can be cloned from. */
sealed interface TemplateSource {

  String name();

  /** What the network of its machines reaches until they are somebody's. */
  Egress reach();

  /** One that every host has, in any size: it is booted and frozen when it is first asked for. */
  record BuiltIn(Template template) implements TemplateSource {
    @Override
    public String name() {
      return template.name();
    }

    @Override
    public Egress reach() {
      // Nothing runs in it that would use that, and it spares most creates a change of the rules.
      return new Egress.Outside();
    }
  }

  /** One that a user built, in its one size. */
  record Built(TemplateRecord template) implements TemplateSource {
    @Override
    public String name() {
      return template.name();
    }

    @Override
    public Egress reach() {
      // What its build left running goes on in each machine, and must not act in the world for
      // nobody, nor for a sandbox that shall reach nothing.
      return new Egress.Nothing();
    }
  }
}
