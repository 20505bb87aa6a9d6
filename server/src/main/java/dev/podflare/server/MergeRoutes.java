package dev.podflare.server;

import dev.podflare.sandbox.Difference;
import dev.podflare.sandbox.MergeReport;
import dev.podflare.sandbox.MergeSandboxes;
import dev.podflare.sandbox.MergeSandboxes.Mode;
import dev.podflare.sandbox.MergeSandboxes.OnConflict;
import dev.podflare.sandbox.SandboxId;
import dev.podflare.sandbox.Sandboxes;
import io.helidon.http.Status;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import tools.jackson.core.JsonGenerator;

/** Merges a sandbox into one of its family. */
final class MergeRoutes {

  private final Sandboxes sandboxes;
  private final Ownership ownership;
  private final ServerMetrics metrics;

  MergeRoutes(Sandboxes sandboxes, Ownership ownership, ServerMetrics metrics) {
    this.sandboxes = sandboxes;
    this.ownership = ownership;
    this.metrics = metrics;
  }

  List<Route> routes() {
    return List.of(Route.keyed("POST", "/v1/sandboxes/{id}/merge_into/{winner}", this::merge));
  }

  private void merge(Call call) {
    SandboxId parent = ownership.require(call);
    SandboxId winner = ownership.require(call, "winner");
    if (parent.equals(winner)) {
      throw ApiError.of(
          ErrorCode.MERGE_INTO_ITSELF,
          "A sandbox can't be merged into itself.",
          "Name the parent first, and after merge_into the sandbox that it shall become.");
    }
    MergeSandboxes how = requested(call.body());
    MergeReport report = sandboxes.merge(parent, winner, how);
    if (report.applied()) {
      metrics.merged(how.mode());
    }
    if (how.mode() == Mode.SWAP && !how.dryRun()) {
      call.noContent();
    } else if (isRefused(how, report)) {
      call.json(Status.CONFLICT_409, json -> writeConflict(json, report));
    } else {
      call.json(json -> write(json, how.mode(), report));
    }
  }

  private static MergeSandboxes requested(RequestBody body) {
    Mode mode = body.word("mode", Mode.class).orElse(Mode.SWAP);
    Optional<List<String>> paths = body.textList("paths");
    if (paths.isPresent() && paths.get().isEmpty()) {
      throw ApiError.badValue(
          "paths",
          "The field paths names no path, so nothing would be merged.",
          "Name at least one path, or leave paths out to merge /root and /tmp.");
    }
    if (mode == Mode.SWAP && paths.isPresent()) {
      throw ApiError.badValue(
          "paths",
          "The field paths makes no sense in a swap, which takes the winner's whole machine.",
          "Leave paths out, or send \"mode\": \"files\".");
    }
    MergeSandboxes requested =
        new MergeSandboxes(
            mode,
            GuestPaths.of("paths", paths.orElse(List.of())),
            body.flag("dry_run").orElse(false),
            body.word("on_conflict", OnConflict.class).orElse(OnConflict.FAIL));
    body.refuseOthers();
    return requested;
  }

  private static boolean isRefused(MergeSandboxes how, MergeReport report) {
    return !how.dryRun() && how.onConflict() == OnConflict.FAIL && !report.conflicts().isEmpty();
  }

  private static void writeConflict(JsonGenerator json, MergeReport report) {
    json.writeStartObject();
    ErrorResponse.of(
            ApiError.of(
                ErrorCode.MERGE_CONFLICT,
                report.conflicts().size() == 1
                    ? "One file was changed on both sides; nothing was merged."
                    : report.conflicts().size()
                        + " files were changed on both sides; nothing was merged.",
                "Send \"on_conflict\": \"winner\" or \"parent\" to say whose is taken."))
        .writeFieldsTo(json);
    writeConflicts(json, report);
    json.writeEndObject();
  }

  private static void write(JsonGenerator json, Mode mode, MergeReport report) {
    json.writeStartObject();
    json.writeStringProperty("mode", Json.word(mode));
    json.writeBooleanProperty("applied", report.applied());
    for (Difference.Kind kind : Difference.Kind.values()) {
      Json.texts(json, Json.word(kind), pathsOf(report, kind));
    }
    writeConflicts(json, report);
    json.writeEndObject();
  }

  private static List<String> pathsOf(MergeReport report, Difference.Kind kind) {
    return report.changes().entrySet().stream()
        .filter(change -> change.getValue() == kind)
        .map(Map.Entry::getKey)
        .toList();
  }

  private static void writeConflicts(JsonGenerator json, MergeReport report) {
    json.writeArrayPropertyStart("conflicts");
    for (MergeReport.Conflict conflict : report.conflicts()) {
      json.writeStartObject();
      Json.text(json, "path", conflict.path());
      json.writeStringProperty("parent", Json.word(conflict.parent()));
      json.writeStringProperty("winner", Json.word(conflict.winner()));
      json.writeEndObject();
    }
    json.writeEndArray();
  }
}
