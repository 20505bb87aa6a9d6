package dev.podflare.guest;

import java.util.List;

/**
 * The globals of the user's Python.
 *
 * @param variables each name once
 * @param truncated whether there are more than could be described in the time
 */
public record GuestVariables(List<GuestVariable> variables, boolean truncated) {

  public GuestVariables {
    variables = List.copyOf(variables);
  }
}
