package dev.podflare.anthropic;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.StringWriter;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import javax.tools.JavaFileObject;
import javax.tools.SimpleJavaFileObject;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The programs of the guides and of the documentation compile, on the oldest Java supported. */
class GuideTest {
  private static final Pattern BLOCK = Pattern.compile("```java\n(.*?)```", Pattern.DOTALL);
  private static final Pattern SNIPPET =
      Pattern.compile("\\{@snippet :\n(.*?)\n \\* }\n \\*\n", Pattern.DOTALL);

  @TempDir private Path classes;

  /** Of the SDK's own guides too: nothing that they need is missing here. */
  @ParameterizedTest
  @ValueSource(strings = {"../../README.md", "../../docs/java.md", "../../docs/anthropic.md"})
  void every_block_of_a_guide_compiles(String page) throws Exception {
    assertCompile(BLOCK, Path.of(page));
  }

  @Test
  void the_example_of_the_documentation_compiles() throws Exception {
    assertCompile(SNIPPET, Path.of("src/main/java/dev/podflare/anthropic/AnthropicTools.java"));
  }

  private void assertCompile(Pattern pattern, Path file) throws IOException {
    List<String> blocks = new ArrayList<>();
    Matcher matcher = pattern.matcher(Files.readString(file));
    while (matcher.find()) {
      blocks.add(matcher.group(1).replaceAll("(?m)^ \\* ?", ""));
    }
    assertThat(blocks).isNotEmpty();
    for (String block : blocks) {
      assertThat(errorsOf(block)).as(block).isEmpty();
    }
  }

  /** What the compiler says of a block, put into a method behind its imports. */
  private String errorsOf(String block) {
    String imports =
        block.lines().filter(line -> line.startsWith("import ")).collect(Collectors.joining("\n"));
    String body =
        block.lines().filter(line -> !line.startsWith("import ")).collect(Collectors.joining("\n"));
    String source =
        imports + "\nclass Block { static void run() throws Exception {\n" + body + "\n} }\n";
    String classPath = System.getProperty("java.class.path");
    List<String> options = List.of("--release", "17", "-d", classes.toString(), "-cp", classPath);
    StringWriter said = new StringWriter();
    boolean compiled =
        ToolProvider.getSystemJavaCompiler()
            .getTask(said, null, null, options, null, List.of(new Source(source)))
            .call();
    return compiled ? "" : said.toString();
  }

  private static final class Source extends SimpleJavaFileObject {
    private final String text;

    Source(String text) {
      super(URI.create("string:///Block.java"), JavaFileObject.Kind.SOURCE);
      this.text = text;
    }

    @Override
    public CharSequence getCharContent(boolean ignoreEncodingErrors) {
      return text;
    }
  }
}
