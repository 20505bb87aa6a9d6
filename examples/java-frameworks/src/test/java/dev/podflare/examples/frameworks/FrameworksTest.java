package dev.podflare.examples.frameworks;

import static org.assertj.core.api.Assertions.assertThat;

import dev.langchain4j.agent.tool.ToolExecutionRequest;
import dev.langchain4j.agent.tool.ToolSpecifications;
import dev.langchain4j.service.tool.DefaultToolExecutor;
import dev.podflare.sdk.Podflare;
import dev.podflare.sdk.Sandbox;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.springframework.ai.support.ToolCallbacks;
import org.springframework.ai.tool.ToolCallback;

/** The frameworks themselves read the tools and call them, in a real sandbox. */
@Tag("live")
class FrameworksTest {
  private static final String ARGUMENTS = "{\"code\": \"x = 6 * 7; x\"}";

  @Test
  void langchain4j_finds_and_calls_the_tools() throws Exception {
    try (Sandbox sandbox = Podflare.create()) {
      LangChain4jTools tools = new LangChain4jTools(sandbox);
      var specifications = ToolSpecifications.toolSpecificationsFrom(tools);
      assertThat(specifications)
          .extracting(each -> each.name())
          .containsExactlyInAnyOrder("run_python", "run_bash");
      ToolExecutionRequest request =
          ToolExecutionRequest.builder().name("run_python").arguments(ARGUMENTS).build();
      var runPython = LangChain4jTools.class.getMethod("runPython", String.class);
      assertThat(new DefaultToolExecutor(tools, runPython).execute(request, "memory"))
          .contains("42");
    }
  }

  @Test
  void spring_ai_finds_and_calls_the_tools() {
    try (Sandbox sandbox = Podflare.create()) {
      List<ToolCallback> tools = Arrays.asList(ToolCallbacks.from(new SpringAiTools(sandbox)));
      ToolCallback python =
          tools.stream()
              .filter(each -> each.getToolDefinition().name().equals("run_python"))
              .findFirst()
              .orElseThrow();
      assertThat(python.call(ARGUMENTS)).contains("42");
      assertThat(python.call("{\"code\": \"1 / 0\"}")).contains("ZeroDivisionError");
    }
  }
}
