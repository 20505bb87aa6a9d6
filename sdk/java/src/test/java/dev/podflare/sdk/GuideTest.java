package dev.podflare.sdk;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.StringWriter;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import javax.tools.JavaCompiler;
import javax.tools.JavaFileObject;
import javax.tools.SimpleJavaFileObject;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The programs of the guides compile against this SDK, on the oldest Java that it runs on. */
class GuideTest {

  private static final Pattern BLOCK = Pattern.compile("```java\n(.*?)```", Pattern.DOTALL);

  @TempDir private Path classes;

  @ParameterizedTest
  @ValueSource(strings = {"../../README.md", "../../docs/java.md"})
  void every_block_compiles(String page) throws Exception {
    List<String> blocks = new ArrayList<>();
    var matcher = BLOCK.matcher(Files.readString(Path.of(page)));
    while (matcher.find()) {
      blocks.add(matcher.group(1));
    }
    assertThat(blocks).isNotEmpty();
    for (String block : blocks) {
      assertThat(errorsOf(block)).as(block).isEmpty();
    }
  }

  /** What the compiler says of a block, put into a method behind its imports. */
  private String errorsOf(String block) throws IOException {
    String imports =
        block.lines().filter(line -> line.startsWith("import ")).collect(Collectors.joining("\n"));
    String body =
        block.lines().filter(line -> !line.startsWith("import ")).collect(Collectors.joining("\n"));
    String source =
        imports + "\nclass Block { static void run() throws Exception {\n" + body + "\n} }\n";
    JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
    StringWriter said = new StringWriter();
    boolean compiled =
        compiler
            .getTask(
                said,
                null,
                null,
                List.of(
                    "--release",
                    "17",
                    "-d",
                    classes.toString(),
                    "-cp",
                    System.getProperty("java.class.path")),
                null,
                List.of(new Source(source)))
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
