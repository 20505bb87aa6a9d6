package dev.podflare.sdk;

import java.util.List;

/**
 * What a merge of files did to the parent, or would do.
 *
 * @param applied whether it was done; false after a dry run
 * @param added paths
 * @param removed paths
 * @param modified paths
 * @param conflicts files that were changed on both sides
 */
public record MergeReport(
    boolean applied,
    List<String> added,
    List<String> removed,
    List<String> modified,
    List<Conflict> conflicts) {
  static MergeReport of(Fields fields) {
    return new MergeReport(
        fields.truth("applied", false),
        fields.texts("added"),
        fields.texts("removed"),
        fields.texts("modified"),
        fields.list("conflicts").stream().map(Conflict::of).toList());
  }
}
