package dev.podflare.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.podflare.cli.client.CommandFailure;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class PoolSizesTest {

  private static final Map<String, Integer> OF_THE_HOST = Map.of("default", 4, "python-datasci", 1);

  @Test
  void anEmptyTextLeavesTheSizesOfTheHost() throws CommandFailure {
    assertThat(PoolSizes.parse("").over(OF_THE_HOST)).isEqualTo(OF_THE_HOST);
  }

  @Test
  void aTemplateThatIsNamedHasTheSizeThatIsGiven() throws CommandFailure {
    assertThat(PoolSizes.parse("python-datasci=0, default=2").over(OF_THE_HOST))
        .isEqualTo(Map.of("default", 2, "python-datasci", 0));
  }

  @ParameterizedTest
  @ValueSource(strings = {"default", "default=", "default=-1", "default=1000", "nobody=1", ","})
  void whatIsNoSizeOfATemplateIsRefusedWithTheTemplatesThatThereAre(String text) {
    assertThatThrownBy(() -> PoolSizes.parse(text))
        .isInstanceOf(CommandFailure.class)
        .hasMessageContaining("default, python-datasci");
  }
}
