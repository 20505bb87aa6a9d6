package dev.podflare.sandbox;

import dev.podflare.engine.MicroVmId;
import dev.podflare.guest.ResyncToken;

/**
 * What is written down of the machine that a sandbox drives, so that a server can take it over from
 * one that was killed.
 *
 * @param resync what makes its agent begin anew
 * @param generation how many copies lie between the first machine of its family and it
 * @param confirmed whether its guest has confirmed an identity of its own; no user code may reach
 *     one that has not
 */
record MachineRecord(
    MicroVmId microVm, ResyncToken resync, int generation, Line line, boolean confirmed) {

  MachineRecord confirmedWith(Line exact) {
    return new MachineRecord(microVm, resync, generation, exact, true);
  }
}
