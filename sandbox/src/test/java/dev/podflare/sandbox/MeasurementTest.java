package dev.podflare.sandbox;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Instant;
import org.junit.jupiter.api.Test;

class MeasurementTest {

  private static final Instant AT = Instant.ofEpochSecond(1_000);

  private final ScriptedMicroVm machine = new ScriptedMicroVm();
  private final Measurement measurement = new Measurement(machine.id(), machine.usage(), AT);

  @Test
  void isReportedAgainForASecond() {
    assertTrue(measurement.stands(machine, AT.minusMillis(1), AT));
    assertTrue(measurement.stands(machine, AT.minusMillis(1), AT.plusMillis(999)));
    assertFalse(measurement.stands(machine, AT.minusMillis(1), AT.plusSeconds(1)));
  }

  @Test
  void aUseSinceMakesItOld() {
    assertFalse(measurement.stands(machine, AT, AT.plusMillis(1)));
    assertFalse(measurement.stands(machine, AT.plusMillis(1), AT.plusMillis(2)));
  }

  @Test
  void saysNothingOfTheMachineThatTookThePlace() {
    assertFalse(measurement.stands(new ScriptedMicroVm(), AT.minusMillis(1), AT));
  }
}
