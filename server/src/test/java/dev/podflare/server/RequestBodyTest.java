package dev.podflare.server;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class RequestBodyTest {

  @Test
  void noBytesAreTheEmptyObject() {
    assertThat(RequestBody.read(new byte[0]).text("code")).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        " ",
        "null",
        "[]",
        "\"x\"",
        "1",
        "{",
        "{}{}",
        "{} x",
        "{\"a\":1,\"a\":2}",
        "{'a':1}",
        "{\"a\":NaN}",
        "{\"a\":01}",
        "{\"a\":1,}",
        "{\"a\":\"\u0001\"}",
        "// c\n{}",
      })
  void whatIsNotOneStrictObjectIsRefused(String json) {
    assertThatThrownBy(() -> RequestBody.read(json.getBytes(StandardCharsets.UTF_8)))
        .isInstanceOfSatisfying(
            ApiError.class, error -> assertThat(error.code().status()).isEqualTo(400));
  }

  @Test
  void deepNestingAndLongNumbersAreRefused() {
    for (String value : new String[] {"[".repeat(500_000), "1".repeat(500_000)}) {
      byte[] json = ("{\"a\":" + value).getBytes(StandardCharsets.US_ASCII);
      assertThatThrownBy(() -> RequestBody.read(json))
          .isInstanceOf(ApiError.class)
          .hasMessageContaining("limit");
    }
  }
}
