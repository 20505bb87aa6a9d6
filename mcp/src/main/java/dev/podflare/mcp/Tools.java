package dev.podflare.mcp;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** All tools, as one version of the protocol offers them. */
final class Tools {

  private static final System.Logger LOG = System.getLogger(Tools.class.getName());

  /** Names that are understood, and not told to models. */
  private static final Map<String, Set<String>> OTHER_NAMES = Map.of("run_bash", Set.of("code"));

  private final Mode mode;
  private final List<ToolSpec> specs;

  Tools(Mode mode) {
    this.mode = mode;
    specs =
        Stream.of(
                ExecTools.all(mode),
                FileTools.all(mode),
                BranchTools.all(mode),
                SandboxTools.all(mode))
            .flatMap(List::stream)
            .toList();
  }

  /** In the order in which a model reads them. */
  List<ToolSpec> all() {
    return specs;
  }

  Optional<ToolSpec> find(String name) {
    return specs.stream().filter(spec -> spec.name().equals(name)).findFirst();
  }

  /** What a client's user and model are told before they see the tools. */
  String instructions() {
    return "Runs code in isolated Linux machines (sandboxes) with a Python process that stays alive"
        + " between calls. "
        + mode.words(
            "Without sandbox_id, every tool uses this conversation's own sandbox, which is made at"
                + " its first use: begin with run_python.",
            "Begin with run_python without sandbox_id: its answer tells the id of a new sandbox,"
                + " which you pass as sandbox_id in every later call.")
        + " To try several ideas, set up once, then fork, run one idea in each child, diff, and"
        + " merge_into the best.";
  }

  String noSuchTool(String name) {
    return "Unknown tool: "
        + Arguments.quoted(name)
        + ". The tools are: "
        + specs.stream().map(ToolSpec::name).collect(Collectors.joining(", "))
        + ".";
  }

  /** Does what a tool is for. What fails is an answer too, in words for a model. */
  ToolAnswer call(
      ToolSpec spec,
      RunningCall running,
      @Nullable Map<String, Object> arguments,
      Optional<ToolCall.Watcher> watcher) {
    try {
      return doneBy(spec, new ToolCall(running, Arguments.of(arguments, namesOf(spec)), watcher));
    } catch (Failure e) {
      ToolAnswer failed = ToolAnswer.failed(e);
      // The model must learn of a sandbox that was made, even if nothing went well in it.
      return running.caller().news().map(failed::with).orElse(failed);
    } catch (RuntimeException e) {
      LOG.log(System.Logger.Level.ERROR, "the tool " + spec.name() + " broke", e);
      throw e;
    }
  }

  private static ToolAnswer doneBy(ToolSpec spec, ToolCall call) {
    Optional<String> own = call.caller().unnamedIfAny();
    try {
      return spec.work().on(call);
    } catch (Failure e) {
      boolean ownIsMeant =
          e.code().equals(Trouble.SANDBOX_NOT_FOUND.code())
              && own.isPresent()
              && !call.arguments().has("sandbox_id");
      if (ownIsMeant && !call.calls().exists(own.get())) {
        call.caller().gone(own.get());
        throw Failure.of(Trouble.OWN_SANDBOX_GONE);
      }
      throw e;
    }
  }

  private static Set<String> namesOf(ToolSpec spec) {
    return Stream.concat(
            spec.parameters().stream().map(ToolSpec.Parameter::name),
            OTHER_NAMES.getOrDefault(spec.name(), Set.of()).stream())
        .collect(Collectors.toSet());
  }
}
