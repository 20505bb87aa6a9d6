package dev.podflare.worker;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Runs what is meant for the sandbox here, on archives that are made for it. */
@Timeout(60)
class GuestScriptTest {
  @TempDir private Path folder;

  private record Ran(int code, String out, String err) {}

  private Ran python(String script, Map<String, String> environment) throws Exception {
    Path err = folder.resolve("err");
    ProcessBuilder builder =
        new ProcessBuilder("python3", "-I", "-c", script)
            .redirectError(err.toFile())
            .directory(folder.toFile());
    builder.environment().putAll(environment);
    Process process = builder.start();
    String out = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    return new Ran(process.waitFor(), out.strip(), Files.readString(err));
  }

  private Ran run(String deed, Map<String, ?> arguments) throws Exception {
    Map<String, Object> request = new TreeMap<>(arguments);
    request.put("do", deed);
    return python(
        Resources.text("mounts.py"),
        Map.of("PF_REQUEST", Json.MAPPER.writeValueAsString(List.of(request))));
  }

  private Ran unpack(String members) throws Exception {
    String archive = folder.resolve("skill.zip").toString();
    String script =
        """
        import os, stat, zipfile
        packed = zipfile.ZipFile(os.environ["ARCHIVE"], "w", zipfile.ZIP_DEFLATED)
        def add(name, content="x", mode=0o644):
            member = zipfile.ZipInfo(name)
            member.create_system, member.external_attr = 3, mode << 16
            packed.writestr(member, content)
        def lie():
            with open(os.environ["ARCHIVE"], "r+b") as file:
                file.seek(file.read().rindex(b"PK\\1\\2") + 24)
                file.write((1 << 30).to_bytes(4, "little"))
        """;
    assertThat(python(script + members + "\npacked.close()", Map.of("ARCHIVE", archive)).err())
        .isEmpty();
    Ran ran = run("skill", Map.of("archive", archive, "root", root().toString(), "name", "pdf"));
    assertThat(Path.of(archive)).doesNotExist();
    return ran;
  }

  private Path root() throws IOException {
    return Files.createDirectories(folder.resolve("skills"));
  }

  @Test
  void a_skill_is_unpacked_without_its_wrapper_and_replaces_the_one_before() throws Exception {
    Files.createDirectories(root().resolve("pdf/old"));
    Ran ran =
        unpack(
            """
            add("pdf/SKILL.md", "# PDF")
            add("pdf/scripts/run.sh", "true", 0o4777)
            add("pdf/link", "/etc/passwd", stat.S_IFLNK | 0o777)
            """);
    assertThat(ran.out()).isEqualTo("[{\"result\": 2}]");
    assertThat(root().resolve("pdf/SKILL.md")).hasContent("# PDF");
    assertThat(root().resolve("pdf/old")).doesNotExist();
    assertThat(root().resolve("pdf/link")).doesNotExist();
    assertThat(Files.getPosixFilePermissions(root().resolve("pdf/scripts/run.sh")))
        .isEqualTo(PosixFilePermissions.fromString("rwxr-xr-x"));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "add('../evil') | leads out of it",
        "add('pdf/../../evil') | leads out of it",
        "add('..\\\\evil') | leads out of it",
        "add('/evil') | absolute path",
        "add('pdf/SKILL.md'); add('pdf/a' * 2, mode=stat.S_IFLNK); add('../e', mode=stat.S_IFLNK) |"
            + " leads out of it",
        "[add(f'pdf/{i}') for i in range(5000)] | members",
        "import warnings; warnings.simplefilter('ignore'); add('a/b'); add('a/b') | FileExistsError",
        "add('w/a/b'); add('w/a') | Error",
        "add('pdf/bomb'); packed.close(); lie() | bytes when unpacked"
      })
  void an_archive_of_an_attacker_is_refused_as_a_whole(String members, String why)
      throws Exception {
    Ran ran = unpack(members.replace("'", "\""));
    assertThat(ran.out()).contains("\"error\"", why);
    assertThat(ran.err()).isEmpty();
    assertThat(folder.resolve("evil")).doesNotExist();
    assertThat(root()).isEmptyDirectory();
  }

  @Test
  void what_is_no_zip_is_refused() throws Exception {
    Path archive = Files.writeString(folder.resolve("no.zip"), "no zip");
    Ran ran =
        run(
            "skill",
            Map.of("archive", archive.toString(), "root", root().toString(), "name", "pdf"));
    assertThat(ran.out()).contains("\"error\"", "not a zip");
  }

  @Test
  void a_store_keeps_what_was_there_aside_and_hashes_plain_files_only() throws Exception {
    Path root = Files.createDirectories(folder.resolve("memory/notes"));
    Files.writeString(root.resolve("left"), "left");
    Map<String, String> store = new TreeMap<>(Map.of("root", root.toString()));
    store.put("marker", "version 1\nm");
    store.put("aside", folder.resolve("aside").toString());
    assertThat(run("store_make", store).out()).contains("aside/notes-1");
    assertThat(folder.resolve("aside/notes-1/left")).hasContent("left");
    Path source =
        Files.writeString(
            folder.resolve("source"), "{\"a\": \"one\", \"b/c\": \"two\", \"a/x\": \"no\"}");
    Ran put =
        run("store_put", Map.of("root", root.toString(), "sources", List.of(source.toString())));
    assertThat(put.out()).isEqualTo("[{\"result\": [\"a/x\"]}]");
    assertThat(source).doesNotExist();
    Files.createSymbolicLink(root.resolve("link"), Path.of("/etc/hostname"));
    String scanned = run("store_scan", Map.of("root", root.toString())).out();
    assertThat(scanned)
        .contains("\"a\": \"" + Memory.hash("one") + "\"")
        .contains("\"b/c\": \"" + Memory.hash("two") + "\"")
        .contains("\"left_out\": 1")
        .doesNotContain("link");
    Map<String, ?> wrong =
        Map.of("root", root.toString(), "hashes", Map.of("a", Memory.hash("other")));
    assertThat(run("store_remove", wrong).out()).isEqualTo("[{\"result\": []}]");
    assertThat(root.resolve("a")).exists();
    run("store_end", Map.of("root", root.toString()));
    assertThat(root).doesNotExist();
  }
}
