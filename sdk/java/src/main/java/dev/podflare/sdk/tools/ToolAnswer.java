package dev.podflare.sdk.tools;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;

/**
 * What a model is told of one call.
 *
 * @param content a text first, then the pictures; never empty
 * @param isError whether it failed; the text then says what happened, why, and what to try
 */
public record ToolAnswer(List<Content> content, boolean isError) {
  public ToolAnswer {
    content = List.copyOf(content);
  }

  /**
   * An answer of one text, such as a tool of your own gives. It is cut in the middle where the
   * limits say so; halves of surrogate pairs, which no provider takes, are replaced; and where
   * there is no text, it says that.
   */
  public static ToolAnswer of(String text, boolean isError, ToolLimits limits) {
    String told = Texts.cut(Texts.clean(text), limits.characters());
    return told(told.isEmpty() ? "(nothing)" : told, isError);
  }

  /** All the text of it. */
  public String text() {
    return content.stream()
        .filter(Content.Text.class::isInstance)
        .map(part -> ((Content.Text) part).text())
        .collect(Collectors.joining("\n"));
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
