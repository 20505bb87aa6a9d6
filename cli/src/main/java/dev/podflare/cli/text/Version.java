package dev.podflare.cli.text;

import picocli.CommandLine.IVersionProvider;

/** The version of this build. */
public final class Version implements IVersionProvider {

  @Override
  public String[] getVersion() {
    return new String[] {"podflare " + current()};
  }

  public static String current() {
    String version = Version.class.getPackage().getImplementationVersion();
    return version == null ? "of an unpackaged build" : version;
  }
}
