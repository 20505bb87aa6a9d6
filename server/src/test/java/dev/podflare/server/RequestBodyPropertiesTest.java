package dev.podflare.server;

import static org.assertj.core.api.Assertions.assertThat;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import tools.jackson.databind.json.JsonMapper;

class RequestBodyPropertiesTest {

  private static final BigInteger HUGE = BigInteger.TEN.pow(900);

  private static final String VALID =
      """
      {"code":"print('ä')","env":{"A":"b"},"timeout_seconds":1.5,"cpus":2,"egress":true}\
      """;

  @Property
  void anyBytesAreReadOrRefused(@ForAll byte[] bytes) {
    readsOrRefuses(bytes);
  }

  @Property
  void aSpoiledBodyIsReadOrRefused(
      @ForAll("places") int place, @ForAll byte spoiled, @ForAll("places") int cut) {
    byte[] bytes = VALID.getBytes(StandardCharsets.UTF_8);
    bytes[place] = spoiled;

    readsOrRefuses(bytes);
    readsOrRefuses(Arrays.copyOf(bytes, cut));
  }

  @Property
  void anyValueInAnyFieldIsReadOrRefused(@ForAll("values") Object value) {
    for (String field : List.of("code", "env", "timeout_seconds", "cpus", "egress")) {
      readsOrRefuses(JsonMapper.shared().writeValueAsBytes(Collections.singletonMap(field, value)));
    }
  }

  @Property
  void textComesThroughAsItWas(@ForAll String text) {
    String wellFormed = Json.wellFormed(text);
    byte[] json = JsonMapper.shared().writeValueAsBytes(Map.of("code", wellFormed));

    assertThat(RequestBody.read(json).requiredText("code")).isEqualTo(wellFormed);
  }

  @Provide
  Arbitrary<Integer> places() {
    return Arbitraries.integers().between(0, VALID.getBytes(StandardCharsets.UTF_8).length - 1);
  }

  @Provide
  Arbitrary<Object> values() {
    Arbitrary<Object> plain =
        Arbitraries.oneOf(
            Arbitraries.strings().map(Json::wellFormed).map(Object.class::cast),
            Arbitraries.doubles().map(Object.class::cast),
            Arbitraries.bigIntegers().between(HUGE.negate(), HUGE).map(Object.class::cast),
            Arbitraries.bigDecimals()
                .between(new BigDecimal(HUGE.negate()), new BigDecimal(HUGE))
                .map(Object.class::cast),
            Arbitraries.of(true, false).map(Object.class::cast),
            Arbitraries.just(null));
    return Arbitraries.lazyOf(
        () -> plain,
        () -> plain.list().ofMaxSize(3).map(Object.class::cast),
        () ->
            Arbitraries.maps(Arbitraries.strings().map(Json::wellFormed), plain)
                .ofMaxSize(3)
                .map(Object.class::cast));
  }

  private static void readsOrRefuses(byte[] json) {
    RequestBody body;
    try {
      body = RequestBody.read(json);
    } catch (ApiError refused) {
      expectHelpful(refused);
      return;
    }
    List<Runnable> reads =
        List.of(
            () -> body.requiredText("code"),
            () -> Environment.of(body),
            () -> body.seconds("timeout_seconds", Duration.ofMillis(1), Duration.ofDays(7)),
            () -> body.wholeNumber("cpus", 1),
            () -> body.flag("egress"));
    for (Runnable read : reads) {
      try {
        read.run();
      } catch (ApiError refused) {
        expectHelpful(refused);
        assertThat(refused.field()).isPresent();
      }
    }
  }

  private static void expectHelpful(ApiError refused) {
    assertThat(refused.code().status()).isIn(400, 422);
    assertThat(refused.getMessage()).endsWith(".");
    assertThat(refused.hint()).endsWith(".");
  }
}
