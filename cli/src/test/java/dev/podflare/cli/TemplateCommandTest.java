package dev.podflare.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class TemplateCommandTest {

  private static String printed(String templates) {
    List<JsonNode> all = new ArrayList<>();
    JsonMapper.shared().readTree(templates).forEach(all::add);
    StringWriter text = new StringWriter();
    TemplateCommand.table(all, Instant.ofEpochSecond(1000)).printTo(new PrintWriter(text, true));
    return text.toString();
  }

  @Test
  void each_template_has_a_line_that_says_what_is_to_be_known_of_it() {
    assertThat(
            printed(
                """
                [{"name":"default","base":null,"version":1,"state":"ready","builtin":true,
                  "stale":false,"created_at":null,"error":null},
                 {"name":"mine","base":"default","version":3,"state":"ready","builtin":false,
                  "stale":true,"created_at":940000,"error":null},
                 {"name":"bad","base":"mine","version":0,"state":"failed","builtin":false,
                  "stale":false,"created_at":999000,"error":"It failed.\\u001b[2J\\nsecond line"}]
                """))
        .isEqualTo(
            """
            TEMPLATE  FROM     VERSION  STATE   AGE
            default                     ready
            mine      default  3        ready   60 s  its base has changed; build it again to follow
            bad       mine     0        failed  1 s   It failed.\\x1b[2J
            """);
  }
}
