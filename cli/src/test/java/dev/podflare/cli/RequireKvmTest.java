package dev.podflare.cli;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.podflare.cli.client.CommandFailure;
import dev.podflare.engine.EngineFacts;
import dev.podflare.engine.Isolation;
import java.util.List;
import org.junit.jupiter.api.Test;

class RequireKvmTest {

  private static EngineFacts host(Isolation isolation) {
    return new EngineFacts("QEMU 7.2.22", isolation, "it is a test", "f", List.of());
  }

  @Test
  void a_host_that_would_emulate_is_refused_with_why_and_what_to_do() {
    assertThatThrownBy(() -> RunningServer.requireKvm(host(Isolation.EMULATED)))
        .isInstanceOf(CommandFailure.class)
        .hasMessageContaining("--require-kvm")
        .hasMessageContaining("it is a test")
        .hasMessageContaining("nested virtualization")
        .hasMessageContaining(Isolation.EMULATED.promise());
  }

  @Test
  void a_host_with_kvm_is_taken() throws Exception {
    RunningServer.requireKvm(host(Isolation.KVM));
  }
}
