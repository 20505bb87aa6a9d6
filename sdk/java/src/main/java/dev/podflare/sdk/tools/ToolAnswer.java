package dev.podflare.sdk.tools;

import dev.podflare.sdk.PodflareException;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;

/**
 * What a model is told of one call.
 *
 * @param content one part or more; from the tools here a text, then the pictures
 * @param isError whether it failed; the text then says what happened, why, and what to try
 */
public record ToolAnswer(List<Content> content, boolean isError) {
  public ToolAnswer {
    content = List.copyOf(content);
    if (content.isEmpty()) {
      throw new IllegalArgumentException("an answer has at least one part");
    }
  }

  /** What a tool of your own says when it has done its work. */
  public static ToolAnswer of(String text) {
    return told(text, false);
  }

  /** What a tool of your own says when it has failed: what happened, why, and what to try. */
  public static ToolAnswer failed(String text) {
    return told(text, true);
  }

  /**
   * The same in a form that providers take: each text is cut in the middle where the limits say so,
   * halves of surrogate pairs are replaced, and a text that is empty says that there is nothing.
   */
  public ToolAnswer within(ToolLimits limits) {
    List<Content> parts = new ArrayList<>();
    for (Content part : content) {
      parts.add(part instanceof Content.Text text ? within(text, limits) : part);
    }
    return new ToolAnswer(parts, isError);
  }

  /**
   * What a model is told of a failure of the sandbox, for tools of your own: what happened, why,
   * and what to try.
   */
  public static ToolAnswer of(PodflareException failed) {
    return Advice.about(failed);
  }

  /** All the text of it. */
  public String text() {
    return content.stream()
        .filter(Content.Text.class::isInstance)
        .map(part -> ((Content.Text) part).text())
        .collect(Collectors.joining("\n"));
  }

  private static Content.Text within(Content.Text text, ToolLimits limits) {
    String told = Texts.cut(Texts.clean(text.text()), limits.characters());
    return new Content.Text(told.isEmpty() ? "(nothing)" : told);
  }

  static ToolAnswer told(String text, boolean isError) {
    return told(text, isError, List.of());
  }

  static ToolAnswer told(String text, boolean isError, List<Content.Image> images) {
    List<Content> content = new ArrayList<>();
    content.add(new Content.Text(text));
    content.addAll(images);
    return new ToolAnswer(content, isError);
  }
}
