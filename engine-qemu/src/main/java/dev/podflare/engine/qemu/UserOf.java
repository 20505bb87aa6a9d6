package dev.podflare.engine.qemu;

import dev.podflare.engine.EngineException;

/** Gives each child of a fork its user. */
interface UserOf {

  /**
   * A user, and how a monitor comes to it.
   *
   * @param user what to hold as long as the child lives
   * @param change what the monitor does
   */
  record Choice(Users.Held user, MonitorControl.User change) {}

  Choice choose() throws EngineException;
}
